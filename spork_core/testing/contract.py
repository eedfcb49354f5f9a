"""``contract_suite``: a plugin's whole contract as one test class, each law a test of its own."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from spork_core.testing.law import Law
from spork_core.testing.laws import LAWS
from spork_core.testing.laws.beginning import tried
from spork_core.testing.subject import FULL, Effort, Subject


def contract_suite(
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    effort: Effort = FULL,
    without: Mapping[str, str] = MappingProxyType({}),
) -> type:
    """The tests of the plugin ``name`` with the settings ``config``: assign it to a name that begins with ``Test``.

    ``others``: instances, name → settings, that must stand before it in a chain, such as one that provides the
    ``identity`` it requires. ``headers``: fields that the ordinary requests of the laws carry, such as a credential
    that it accepts: what it does then is seen only so. ``effort``: how hard the laws look. ``without``: laws that it
    breaks on purpose, name → why; their tests are skipped and say so. A plugin that cannot be made gets only the tests
    that say why it cannot. Raises ValueError when ``without`` names no law, or a field cannot stand in a request.
    """
    for law in without:
        if law not in _NAMES:
            near = get_close_matches(law, _NAMES, 1)
            raise ValueError(f'"{law}" is no law; {f"did you mean {near[0]}?" if near else "their names are in LAWS"}')
    subject = Subject(name, config, others, effort, headers)
    tests: dict[str, Any] = {
        f"test_{each.name}": _test(each, subject, without.get(each.name)) for each in laws_of(subject)
    }
    return type("Contract", (), {"__doc__": f"The contract of {name}.", "subject": subject, **tests})


def laws_of(subject: Subject) -> Iterator[Law]:
    """The laws that apply to a plugin; of one that cannot be made, those that say why."""
    made = subject.made
    return (each for each in LAWS if (made or each.early) and each.applies(subject))


def _test(each: Law, subject: Subject, left_out: str | None) -> Any:
    def test(self: object) -> None:  # noqa: ARG001  pytest calls it as a method
        __tracebackhide__ = True
        why_not = left_out
        if why_not is None and not tried(each, subject):
            why_not = "It does not start: test_starts_each_time says why."
        if why_not is not None:
            import pytest  # who reads laws outside of tests needs none

            pytest.skip(why_not)

    test.__doc__ = f"{each.sentence}\n\n{each.why}"
    test.law = each  # type: ignore[attr-defined]  # read by the pytest plugin
    return test


_NAMES: Final = tuple(each.name for each in LAWS)

__all__: Final = ["contract_suite", "laws_of"]
