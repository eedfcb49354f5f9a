"""What stands around the Python of a new plugin: pyproject.toml, README, the workflow of its tests."""

from collections.abc import Sequence
from string import Template
from typing import Final

from spork_core import __version__
from spork_core.cli.scaffold.names import Names
from spork_core.cli.scaffold.snippet import Snippet, settings_of

GITIGNORE: Final = """\
*.egg-info/
.*_cache/
.hypothesis/
.venv/
__pycache__/
build/
dist/
"""

WORKFLOW: Final = """\
name: test

on: [push, pull_request]

permissions:
  contents: read

jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      fail-fast: false
      matrix:
        python: ["3.11", "3.12", "3.13"]
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-python@v6
        with:
          python-version: ${{ matrix.python }}
      - run: pip install -e '.[test,lint]'
      - run: ruff format --check .
      - run: ruff check .
      - run: mypy
      - run: pytest
"""

_PYPROJECT: Final = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
description = "Spork plugin: $does"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["attrs>=25.1", "spork-core$versions"]
keywords = ["spork", "api-gateway"]
classifiers = ["Framework :: AsyncIO", "Framework :: Pluggy", "Topic :: Internet :: Proxy Servers", "Typing :: Typed"]

[project.optional-dependencies]
test = ["spork-core[testing]"]
lint = ["mypy>=1.18", "ruff>=0.15"]

# A config says `use: $name`; this is how the gateway finds the class.
[project.entry-points."spork.plugins"]
$name = "$package:$cls"

[tool.setuptools]
packages = ["$package"]

[tool.setuptools.package-data]
$package = ["py.typed"]

[tool.pytest.ini_options]
addopts = ["--strict-config", "--strict-markers", "-ra"]
asyncio_default_fixture_loop_scope = "function"
asyncio_mode = "auto"
filterwarnings = ["error"]
testpaths = ["tests"]

[tool.mypy]
strict = true
files = ["$package", "tests"]

[tool.ruff]
line-length = 120
target-version = "py311"

[tool.ruff.lint]
select = ["A", "ASYNC", "B", "C4", "D1", "E", "F", "I", "N", "PIE", "PT", "RUF", "SIM", "UP", "W"]
ignore = [
    "D107",  # the docstring of a class says what its __init__ takes
]

[tool.ruff.lint.flake8-bugbear]
extend-immutable-calls = ["spork_core.api.setting"]  # it makes a field of a config class

[tool.ruff.lint.per-file-ignores]
"tests/*" = ["D1"]  # the name of a test says it
"""

_README: Final = """\
# $distribution

## What it does

$does

## Config

| key | type | default | meaning |
|---|---|---|---|
$rows

Beside these, an instance has the keys that every plugin's has: `use`, `enabled`, `on_failure`, `timeout` and the rest.

## Example

```yaml
services:
  users: {endpoints: [http://127.0.0.1:9001]}
plugins:
  $name:
$settings
chain: [$name]
routes:
  users: {match: {path: /users/*}, service: users}
```

## Limits

$limits

## Work on it

```shell
pip install -e '.[test,lint]'
pytest && mypy && ruff check .
```

`tests/test_contract.py` holds it to the contract that every plugin of Spork has; `tests/$test` says what it does.
A hook may be `def` or `async def`, and takes those of its arguments that it needs.
"""


def pyproject(names: Names, snippets: Sequence[Snippet]) -> str:
    """``pyproject.toml``."""
    does = _filled(snippets[0].does, names).replace("`", "").rstrip(".")
    return Template(_PYPROJECT).substitute(
        name=names.name,
        distribution=names.distribution,
        package=names.package,
        cls=names.cls,
        does=does[0].lower() + does[1:],
        versions=_versions(),
    )


def readme(names: Names, snippets: Sequence[Snippet]) -> str:
    """``README.md``."""
    settings = settings_of(snippets)
    limits = [snippet.limit for snippet in snippets if snippet.limit]
    return Template(_README).substitute(
        name=names.name,
        distribution=names.distribution,
        test=names.test,
        does=_paragraphs([_filled(snippet.does, names) for snippet in snippets]),
        rows="\n".join(
            f"| `{each.name}` | {each.kind} | {_default(each.shown)} | {each.meaning} |" for each in settings
        ),
        settings="\n".join(f"    {each.name}: {_filled(each.example, names)}" for each in settings),
        limits="\n".join(f"- {limit}" for limit in limits or ["One instance has one set of settings for all routes."]),
    )


def _paragraphs(does: Sequence[str]) -> str:
    return does[0] if len(does) == 1 else "\n".join(f"- {sentence}" for sentence in does)


def _default(shown: str) -> str:
    return shown if shown == "required" else f"`{shown}`"


def _filled(text: str, names: Names) -> str:
    return Template(text).substitute(name=names.name, field=names.field)


def _versions() -> str:
    """The versions of the kernel that have its hooks: until 1.0, a minor version may change them."""
    major, minor = map(int, __version__.split(".")[:2])
    return f">={major}.{minor},<{f'{major}.{minor + 1}' if major == 0 else major + 1}"
