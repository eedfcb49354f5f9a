"""``contract_suite``: which tests a plugin gets, and that each of them teaches."""

import pytest

from spork_core.api import GatewayView, Plugin, hookimpl
from spork_core.testing import Broken, contract_suite
from spork_core.testing.ends import carrying
from spork_core.testing.laws import LAWS
from spork_core.testing.laws.beginning import starts_each_time, tried
from spork_core.testing.laws.blocking import never_blocks_the_loop
from tests.testing.subjects import offered


class Dependent(Plugin):
    """Needs what is not there."""

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        raise OSError("nobody is there")


def names_of(suite: type) -> list[str]:
    return [name for name in vars(suite) if name.startswith("test_")]


def test_each_law_that_applies_is_a_test_of_its_own() -> None:
    suite = contract_suite("request-id")

    assert [f"test_{law.name}" for law in LAWS if law.applies(suite.subject)] == names_of(suite)  # type: ignore[attr-defined]


def test_laws_about_hooks_are_for_plugins_that_have_them() -> None:
    assert "test_fails_closed" not in names_of(contract_suite("request-id"))


def test_a_plugin_that_is_not_installed_gets_one_test_which_says_so() -> None:
    suite = contract_suite("nobody")

    assert names_of(suite) == ["test_loads_by_its_entry_point"]
    with pytest.raises(Broken, match=r'entry point "nobody"[\s\S]*Remedy: write nobody = "package:Class"'):
        suite().test_loads_by_its_entry_point()


def test_a_plugin_that_refuses_its_config_gets_the_tests_that_say_why() -> None:
    suite = contract_suite("request-id", config={"headers": "X-Id"})

    assert "test_leaks_nothing" not in names_of(suite)
    with pytest.raises(Broken, match=r"\$\.plugins\.subject\.headers: unknown key.*did you mean"):
        suite().test_accepts_the_config_of_its_contract()


def test_a_law_that_is_broken_on_purpose_is_skipped_with_the_reason() -> None:
    suite = contract_suite("request-id", without={"leaks_nothing": "It remembers every id."})

    with pytest.raises(pytest.skip.Exception, match="It remembers every id"):
        suite().test_leaks_nothing()


def test_only_laws_can_be_left_out() -> None:
    with pytest.raises(ValueError, match=r'"leaks_noting" is no law; did you mean leaks_nothing\?'):
        contract_suite("request-id", without={"leaks_noting": "?"})


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_law_says_what_holds_and_why(law: object) -> None:
    sentence, why = law.sentence, law.why  # type: ignore[attr-defined]

    assert sentence.endswith(".")
    assert sentence.count(". ") == 0
    assert len(why) > len("Because.")


def test_names_of_laws_are_unique() -> None:
    assert len({law.name for law in LAWS}) == len(LAWS)


def test_a_plugin_that_does_not_start_breaks_one_law_and_skips_those_that_run_it() -> None:
    subject = offered(Dependent)

    with pytest.raises(Broken, match=r"does not start: .*nobody is there[\s\S]*Remedy: give it what it depends on"):
        starts_each_time.check(subject)

    assert not tried(never_blocks_the_loop, subject)


def test_a_field_that_frames_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="Content-Length: 5 cannot stand in a request of the laws"):
        contract_suite("request-id", headers={"Content-Length": "5"})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nX-Key: k\r\nHost: a\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nx-key: mine\r\n\r\n", b"GET / HTTP/1.1\r\nx-key: mine\r\n\r\n"),
        (b"garbage", b"garbage"),
    ],
)
def test_fields_of_the_author_go_where_there_are_none_of_that_name(request_: bytes, expected: bytes) -> None:
    assert carrying(request_, {"X-Key": "k"}) == expected
