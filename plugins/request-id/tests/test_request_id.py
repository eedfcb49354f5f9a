"""The plugin's hooks: whose id counts, and where it goes."""

from types import SimpleNamespace

import pytest
from spork_request_id import RequestId, RequestIdConfig

from spork_core.api import Chance, Clock, Exchange, Headers, Request, Response


def plugin(**settings: object) -> RequestId:
    return RequestId(RequestIdConfig(**settings), "request-id")


def exchange(*fields: tuple[str, str], trusted: bool = False) -> Exchange:
    request = Request(headers=Headers(fields))
    request.trusted = trusted
    return Exchange(request)


@pytest.mark.parametrize(
    ("trust", "trusted", "taken"),
    [
        ("never", True, False),
        ("trusted-proxies", False, False),
        ("trusted-proxies", True, True),
        ("always", False, True),
    ],
)
def test_whose_id_is_taken_over(trust: str, trusted: bool, taken: bool) -> None:
    seen = exchange(("X-Request-Id", "from-outside"), trusted=trusted)

    plugin(trust=trust).pre_auth(seen)

    assert (seen.id == "from-outside") is taken


@pytest.mark.parametrize("sent", ["", " ", "a b", 'a"b', "a\tb", "a\nb", "é", "\udcff", "<script>", "x" * 129])
def test_an_unsafe_id_is_replaced_even_from_a_trusted_proxy(sent: str) -> None:
    seen = exchange(("X-Request-Id", sent), trusted=True)

    plugin().pre_auth(seen)

    assert seen.id != sent
    assert seen.request.headers["X-Request-Id"] == seen.id


@pytest.mark.parametrize("sent", ["x" * 128, "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abc", "a/b+c==", "1"])
def test_usual_ids_of_others_are_usable(sent: str) -> None:
    seen = exchange(("X-Request-Id", sent), trusted=True)

    plugin().pre_auth(seen)

    assert seen.id == sent


def test_the_service_gets_one_field_whatever_the_client_repeated() -> None:
    seen = exchange(("x-request-id", "one"), ("X-Request-ID", "two"), trusted=True)

    plugin().pre_auth(seen)

    assert seen.request.headers.getall("X-Request-Id") == ["one"]


def test_the_response_carries_the_id_instead_of_the_services() -> None:
    seen = exchange()
    seen.response = Response(headers={"X-Request-Id": "the service's own"})
    by = plugin()

    by.pre_auth(seen)
    by.on_response(seen)

    assert seen.response.headers.getall("X-Request-Id") == [seen.id]


def test_an_answer_made_before_the_plugin_was_reached_has_an_id_too() -> None:
    seen = exchange()
    seen.response = Response(403)

    plugin().on_response(seen)

    assert len(seen.response.headers["X-Request-Id"]) == 32


def test_without_echo_the_response_hook_is_not_compiled_in() -> None:
    assert plugin(echo=False).hooks() == ("pre_auth",)
    assert plugin().hooks() == ("pre_auth", "on_response")


def test_another_header_name() -> None:
    seen = exchange(("X-Request-Id", "untouched"), ("X-Correlation-Id", "abc"))

    plugin(header="X-Correlation-Id", trust="always").pre_auth(seen)

    assert seen.id == "abc"
    assert seen.request.headers["X-Request-Id"] == "untouched"


@pytest.mark.parametrize("name", ["", "X Request", "X-Id:", "Content-Length", "host", "Transfer-Encoding"])
def test_a_bad_header_name_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(ValueError, match="such as X-Request-Id"):
        plugin(header=name)


def test_two_instances_never_share_an_id() -> None:
    first, second = exchange(), exchange()

    plugin(format="counter").pre_auth(first)
    plugin(format="counter").pre_auth(second)

    assert first.id != second.id


def test_ids_come_from_the_gateways_clock_and_chance() -> None:
    chances = [Chance(lambda size: b"\x5a" * size) for _ in range(2)]
    seen = [exchange(), exchange()]

    for chance, one in zip(chances, seen, strict=True):
        by = plugin(format="uuid7")
        by.startup(SimpleNamespace(clock=Clock(lambda: 1.0), chance=chance))
        by.pre_auth(one)

    assert seen[0].id == seen[1].id == "00000000-03e8-7a5a-9a5a-5a5a5a5a5a5a"
