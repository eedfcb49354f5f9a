"""``spork new-plugin``: what it writes is sound for every hook, and it never writes over anything."""

import errno
import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spork_core.api import GATEWAY_HOOKS, KINDS
from spork_core.cli.scaffold import distribution
from spork_core.cli.scaffold.names import LONGEST, BadName, Names, parse
from spork_core.cli.scaffold.snippets import SNIPPETS
from spork_core.config import describe
from spork_core.registry import Registry, make_instance
from spork_core.testing.subject import Subject
from tests.cli.conftest import Spork
from tests.laws.tree import ROOT

HOOKS: Final = (*KINDS, *GATEWAY_HOOKS)
TOKENS: Final = {"tokens": {"ann": "a-token"}}


def write(folder: Path, name: str, hooks: Sequence[str]) -> Names:
    """Writes a distribution into ``folder``, and beside it what pip would note of it: several may share a folder."""
    names = Names(name)
    for path, (text, _) in distribution.files(names, hooks).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    info = folder / f"{names.package}-0.1.0.dist-info"
    info.mkdir()
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    readme = (folder / "README.md").read_text()
    head = f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 0.1.0\nDescription-Content-Type: text/markdown\n"
    requires = "".join(f"Requires-Dist: {each}\n" for each in project["dependencies"])
    (info / "METADATA").write_text(f"{head}{requires}\n{readme}")
    ((group, points),) = project["entry-points"].items()
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    (info / "RECORD").write_text(f"{names.package}/__init__.py,,\n{names.package}/py.typed,,\n")
    return names


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin for each hook, called like it, and two more: with all hooks, and with a long name."""
    folder = tmp_path_factory.mktemp("written")
    for hook in HOOKS:
        write(folder, hook.replace("_", "-"), [hook])
    write(folder, "x" * LONGEST, HOOKS)
    write(folder, "everything", HOOKS)
    return folder


def tool(folder: Path, *arguments: str) -> str:
    """What a tool says of ``folder``, when it is content."""
    paths = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- what it writes -----------------------------------------------------------------------------------


def test_it_says_what_it_wrote_and_what_comes_next(run: Spork, folder: Path) -> None:
    result = run("new-plugin", "body-guard", "--hook", "on_request")

    assert result.exit_code == 0
    files = sorted(path.relative_to(folder / "spork-body-guard") for path in folder.rglob("*") if path.is_file())
    assert [str(file) for file in files] == [
        ".github/workflows/test.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "spork_body_guard/__init__.py",
        "spork_body_guard/config.py",
        "spork_body_guard/py.typed",
        "tests/test_body_guard.py",
        "tests/test_contract.py",
    ]
    assert all(file.name in result.output for file in files)
    for step in ("cd spork-body-guard", "pip install -e '.[test]'", "pytest", "body-guard: {}", "chain: [body-guard]"):
        assert f"  {step}\n" in result.output


def test_without_a_hook_every_answer_shows_the_plugin(run: Spork, folder: Path) -> None:
    run("new-plugin", "demo")

    assert 'headers["X-Demo"]' in (folder / "spork-demo" / "spork_demo" / "__init__.py").read_text()


def test_it_goes_into_the_folder_named(run: Spork, folder: Path) -> None:
    (folder / "plugins").mkdir()

    assert run("new-plugin", "demo", "--into", "plugins").exit_code == 0
    assert (folder / "plugins" / "spork-demo" / "pyproject.toml").exists()


def test_what_an_instance_needs_is_in_the_next_steps(run: Spork) -> None:
    assert 'demo: {tokens: {ann: "${env:ANNS_TOKEN}"}}\n' in run("new-plugin", "demo", "--hook", "authenticate").output


@pytest.mark.parametrize("hook", HOOKS)
def test_help_names_every_hook(run: Spork, hook: str) -> None:
    assert hook in run("new-plugin", "--help").output.replace(",", " ").split()


# -- what it refuses ----------------------------------------------------------------------------------


def test_nothing_is_overwritten(run: Spork, folder: Path) -> None:
    (folder / "spork-demo").mkdir()

    result = run("new-plugin", "demo")

    assert result.exit_code == 1
    assert "spork-demo is there already, and stays as it is" in result.output
    assert list((folder / "spork-demo").iterdir()) == []


def test_what_cannot_be_written_whole_is_not_written(run: Spork, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def full(path: Path, text: str, encoding: str) -> None:
        written.append(path.name)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    result = run("new-plugin", "demo")

    assert result.exit_code == 1
    assert "spork-demo cannot be written: No space left on device" in result.output
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_none_is_named(run: Spork, folder: Path) -> None:
    (folder / "taken").write_text("")

    result = run("new-plugin", "demo", "--into", "taken")

    assert result.exit_code == 2
    assert "'taken' is a file" in result.output


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("RateLimit", 'write "rate-limit"'),
        ("rate_limit", 'write "rate-limit"'),
        ("spork-limit", 'write "limit"'),
        ("2fa!", 'write "fa"'),
        ("-x", "No such option"),
        ("", "lower-case words with hyphens"),
        ("core", "spork-core is a distribution of Spork itself"),
        ("headers", "installed already (spork-headers 0.1.0)"),
        ("x" * (LONGEST + 1), f"at most {LONGEST} characters"),
    ],
)
def test_a_name_that_cannot_be_is_refused(run: Spork, folder: Path, name: str, says: str) -> None:
    result = run("new-plugin", name)

    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("hook", "says"), [("on_respons", "did you mean on_response?"), ("zzz", "the hooks are pre_auth, authenticate,")]
)
def test_a_hook_that_is_none_is_refused(run: Spork, folder: Path, hook: str, says: str) -> None:
    result = run("new-plugin", "demo", "--hook", hook)

    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert list(folder.iterdir()) == []


def test_a_hook_may_be_written_with_hyphens(run: Spork) -> None:
    assert run("new-plugin", "demo", "--hook", "on-request").exit_code == 0


@given(st.text(st.sampled_from("aB3-_ é./"), max_size=40))
def test_what_is_taken_for_a_name_makes_good_names(text: str) -> None:
    try:
        names = parse(text, {})
    except BadName as error:
        names = parse(error.better or "a", {})

    assert names.cls.isidentifier()
    assert names.package.isidentifier()


@pytest.mark.parametrize(("name", "cls"), [("rate-limit", "RateLimit"), ("response", "ResponsePlugin")])
def test_a_class_is_called_like_nothing_it_imports(name: str, cls: str) -> None:
    assert Names(name).cls == cls


def test_a_plugin_called_contract_keeps_its_contract() -> None:
    assert Names("contract").test not in ("test_contract.py", "contract.py")


# -- what it writes is sound --------------------------------------------------------------------------


def test_every_hook_has_its_snippet() -> None:
    assert tuple(SNIPPETS) == HOOKS


def test_no_two_snippets_have_a_setting_of_one_name() -> None:
    names = [each.name for snippet in SNIPPETS.values() for each in snippet.settings]

    assert sorted(names) == sorted(set(names))


@pytest.fixture
def importable() -> Iterator[None]:
    """What a test puts on the path, and imports from there, is gone after it."""
    path, modules = sys.path.copy(), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@settings(max_examples=25, deadline=None)
@given(hooks=st.lists(st.sampled_from(HOOKS), min_size=1, unique=True))
def test_any_hooks_go_together(tmp_path_factory: pytest.TempPathFactory, hooks: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    names = write(folder, f"any-{folder.name.replace('_', '-')}", hooks)
    cls = plugin_of(folder, names)

    config = Subject(names.name, TOKENS if "authenticate" in hooks else {})
    config.registry = Registry({names.name: cls})

    assert set(make_instance(config.instance_config(), config.registry).impls) == set(hooks)
    readme = (folder / "README.md").read_text()
    assert [field.name for field in describe(cls.Config) if f"| `{field.name}` |" not in readme] == []


def plugin_of(folder: Path, names: Names) -> Any:
    sys.path.insert(0, str(folder))
    try:
        return getattr(importlib.import_module(names.package), names.cls)
    finally:
        sys.path.remove(str(folder))


def test_what_is_written_is_formatted_and_linted(written: Path) -> None:
    tool(written, "ruff", "format", "--check", ".")
    tool(written, "ruff", "check", ".")


def test_what_is_written_is_typed(written: Path) -> None:
    packages = [path.name for path in written.glob("spork_*") if not path.name.endswith(".dist-info")]

    tool(written, "mypy", *packages, "tests")


def test_what_is_written_does_what_its_tests_say(written: Path) -> None:
    assert " passed" in tool(written, "pytest", "-q", "-p", "no:cacheprovider", "--ignore", "tests/test_contract.py")


CONTRACTS: Final = """\
from spork_core.testing import Effort, contract_suite

LITTLE = Effort(exchanges=500, examples=20)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_written_keeps_the_contract(written: Path) -> None:
    suites = {hook.replace("_", "-"): TOKENS if hook == "authenticate" else {} for hook in HOOKS}
    suites["everything"] = TOKENS
    lines = [
        f"Test{at} = contract_suite({name!r}, config={suites[name]!r}, effort=LITTLE)\n"
        for at, name in enumerate(suites)
    ]
    (written / "contracts.py").write_text(CONTRACTS + "".join(lines))

    assert " passed" in tool(written, "pytest", "-q", "-p", "no:cacheprovider", "contracts.py")
