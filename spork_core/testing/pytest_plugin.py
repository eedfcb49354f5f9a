"""What pytest loads wherever spork-core is installed: it lets the laws of a contract speak for themselves.

It imports nothing of the kernel or the kit, and touches no test but those that carry a ``law``.
"""

import textwrap
from collections.abc import Generator
from typing import Any, Final

import pytest

_WIDEST: Final = 100
"""Columns of running text."""


class _Verdict:
    """A broken law in a report: its sentence, why it is one, what was found and what to do, in place of a traceback."""

    def __init__(self, law: Any, error: Any) -> None:
        self._law = law
        self._error = error
        self.reprcrash = _Crash(error.found.partition("\n")[0])

    def __str__(self) -> str:
        return "\n".join(line for line, _ in self._lines(_WIDEST))

    def toterminal(self, tw: Any) -> None:
        """Writes itself as pytest writes a traceback."""
        for line, markup in self._lines(min(tw.fullwidth, _WIDEST)):
            tw.line(line, **markup)

    def _lines(self, width: int) -> Generator[tuple[str, dict[str, bool]], None, None]:
        for part in textwrap.wrap(self._law.sentence, width):
            yield part, {"bold": True}
        yield "", {}
        for paragraph in filter(None, self._law.why.split("\n\n")):
            yield from ((part, {}) for part in textwrap.wrap(paragraph, width))
            yield "", {}
        yield from ((line, {"red": True}) for line in _labelled("Found:", self._error.found))
        yield from ((line, {"green": True}) for line in _labelled("Remedy:", self._error.remedy))


class _Crash:
    """The line of a failure in pytest's short summary."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


def _labelled(label: str, text: str) -> list[str]:
    """``text`` behind ``label``; it is not wrapped, since what it names is to be copied."""
    return [f"{label if at == 0 else '':<8}{line}".rstrip() for at, line in enumerate(text.split("\n"))]


def _law_of(item: pytest.Item) -> Any:
    return getattr(getattr(item, "function", None), "law", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Gives the report of a law's test the law's sentence and, when it is broken, its verdict."""
    report = yield
    law = _law_of(item)
    if law is None or report.when != "call":
        return report
    report.law = law.sentence
    error = None if call.excinfo is None else call.excinfo.value
    if hasattr(error, "found") and hasattr(error, "remedy"):
        report.longrepr = _Verdict(law, error)
    return report


class _Sentences:
    """Writes the sentence of each law below its test; registered where pytest is verbose."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._sentences: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        sentence = getattr(report, "law", None)
        if sentence is not None:
            self._sentences[report.nodeid] = sentence

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        sentence = self._sentences.pop(nodeid, None)
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if sentence is not None and terminal is not None:
            terminal.write_line(f"    {sentence}", light=True)


def pytest_configure(config: pytest.Config) -> None:
    """Lets the laws tell their sentences in a verbose run."""
    if config.getoption("verbose", 0) > 0:
        config.pluginmanager.register(_Sentences(config), "spork-sentences")
