"""What pytest shows of the laws, and what it loads for a test run that needs none of it."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from spork_core import testing

pytest_plugins = ["pytester"]

LAWS: Final = '''
from spork_core.testing.law import Broken, law

@law()
def holds(subject):
    """Every law that holds
    says so in one line.

    The reason why.
    """

@law()
def breaks(subject):
    """A broken law says what to do.

    Because a traceback teaches nobody.
    """
    raise Broken("plugin.py:7: it is broken\\nand more of it", "write it right")

@law()
def crashes(subject):
    """A crash is a crash."""
    raise ValueError("not a verdict")

def as_test(each):
    def test(self):
        each.check(None)
    test.law = each
    return test

class TestContract:
    test_holds = as_test(holds)
    test_breaks = as_test(breaks)
    test_crashes = as_test(crashes)

def test_ordinary():
    assert 1 == 2
'''


Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """pytest with its arguments, in this process: asserts stay plain, for the kernel is imported already."""
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makepyfile(LAWS)
    return partial(pytester.runpytest_inprocess, "--assert=plain", "-p", "no:asyncio")


def test_a_verbose_run_tells_each_laws_sentence(run: Run) -> None:
    result = run("-v")

    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(["*TestContract::test_holds PASSED*", "    Every law that holds says so in one line."])


def test_a_quiet_run_tells_none(run: Run) -> None:
    run().stdout.no_fnmatch_line("*Every law that holds*")


def test_a_broken_law_gives_its_verdict_and_no_traceback(run: Run) -> None:
    result = run("-k", "breaks")

    result.stdout.fnmatch_lines(
        [
            "*_ TestContract.test_breaks _*",
            "A broken law says what to do.",
            "",
            "Because a traceback teaches nobody.",
            "",
            "Found:  plugin.py:7: it is broken",
            "        and more of it",
            "Remedy: write it right",
            "*short test summary*",
            "FAILED *::TestContract::test_breaks - plugin.py:7: it is broken",
        ],
        consecutive=True,
    )


def test_colours_are_pytests(run: Run) -> None:
    plain, coloured = (run("-k", "breaks", f"--color={when}") for when in ("no", "yes"))

    assert "\x1b[" not in plain.stdout.str()
    assert "\x1b[31mFound:  plugin.py:7: it is broken\x1b[0m" in coloured.stdout.str()


def test_what_is_no_verdict_keeps_its_traceback(run: Run) -> None:
    result = run("-k", "crashes or ordinary")

    result.stdout.fnmatch_lines(["E *ValueError: not a verdict", "E *assert 1 == 2"])


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python has after ``code``."""
    code = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_pytest_plugin_loads_nothing_of_the_kernel() -> None:
    modules = loaded_by("import pytest; before = set(sys.modules)\nimport spork_core.testing.pytest_plugin")

    assert {name for name in modules if name.startswith("spork")} == {
        "spork_core",
        "spork_core.testing",
        "spork_core.testing.pytest_plugin",
    }
    assert modules.isdisjoint({"hypothesis", "aiohttp", "blockbuster"})


def test_the_harness_needs_nothing_of_the_extra() -> None:
    modules = loaded_by("from spork_core.testing import gateway, scripts, upstream")

    assert modules.isdisjoint({"hypothesis", "pytest", "blockbuster"})


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'hypothesis'", name="hypothesis")

    monkeypatch.setattr(testing, "import_module", missing)
    with pytest.raises(ImportError, match=r"contract_suite needs hypothesis: pip install 'spork-core\[testing\]'"):
        _ = testing.contract_suite


def test_every_public_name_is_there() -> None:
    assert [name for name in testing.__all__ if getattr(testing, name, None) is None] == []
    with pytest.raises(AttributeError, match="has no attribute 'nothing_such'"):
        _ = testing.nothing_such
