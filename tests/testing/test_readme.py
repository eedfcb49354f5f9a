"""READMEs: where they are, and what is found in them."""

import json
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from spork_core.testing.readme import Readme, Row, readme_of

TEXT = """\
# spork-x

## Config

| key | type | default |
|---|---|---|
| `output` | `stdout` or path | `stdout` |
| `only.errors`, `all` | bool | none |

| field | meaning |
|---|---|
| `ts` | when |

```yaml
# Not a heading
a: `b`
```

~~~ yml
c: d
~~~
"""


@pytest.fixture
def distribution(tmp_path: Path) -> Distribution:
    info = tmp_path / "x-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: x\nVersion: 1\n\nFrom the wheel.\n", encoding="utf-8")
    return PathDistribution(info)


def test_rows_are_those_of_tables_with_defaults() -> None:
    assert list(Readme(TEXT, "x").rows()) == [Row("output", "stdout"), Row("only.errors", None), Row("all", None)]


def test_headings_and_codes_are_those_outside_of_blocks() -> None:
    readme = Readme(TEXT, "x")

    assert readme.headings() == ["spork-x", "Config"]
    assert {"only.errors", "only", "errors", "ts"} <= readme.codes()
    assert "b" not in readme.codes()


def test_blocks_have_the_number_of_their_first_line() -> None:
    assert list(Readme(TEXT, "x").blocks("yaml", "yml")) == [(15, "# Not a heading\na: `b`\n"), (20, "c: d\n")]


def test_a_wheel_has_it_in_its_metadata(distribution: Distribution) -> None:
    readme = readme_of(distribution)

    assert readme is not None
    assert readme.text.strip() == "From the wheel."


def test_an_editable_install_has_it_where_its_source_is(tmp_path: Path, distribution: Distribution) -> None:
    source = tmp_path / "a source"
    source.mkdir()
    (source / "README.md").write_text("As it is now.", encoding="utf-8")
    told = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (tmp_path / "x-1.dist-info" / "direct_url.json").write_text(json.dumps(told), encoding="utf-8")

    readme = readme_of(distribution)

    assert readme == Readme("As it is now.", str(source / "README.md"))
