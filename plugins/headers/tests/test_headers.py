"""The two hooks: what a request carries to the service, and a response to the client."""

import pytest
from spork_headers import Headers, HeadersConfig, RequestChanges, ResponseChanges

from spork_core.api import Exchange, Identity, Request, Response, RouteInfo
from spork_core.api import Headers as Fields


def exchange(*fields: tuple[str, str]) -> Exchange:
    seen = Exchange(Request("GET", "/users/7", "a=b", headers=Fields(fields), host="api.test", client="192.0.2.1"))
    seen.id = "id-1"
    seen.route = RouteInfo("users", "/users/{id}", "people")
    seen.captures = {"id": "7"}
    return seen


def requested(*fields: tuple[str, str], seen: Exchange | None = None, **changes: object) -> list[tuple[str, str]]:
    """The request's fields after the hook."""
    seen = seen or exchange(*fields)
    Headers(HeadersConfig(request=RequestChanges(**changes)), "h").on_request(seen)
    return list(seen.request.headers.items())


def responded(*fields: tuple[str, str], status: int = 200, **changes: object) -> list[tuple[str, str]]:
    """The response's fields after the hook."""
    seen = exchange()
    seen.response = Response(status, headers=Fields(fields))
    Headers(HeadersConfig(response=ResponseChanges(**changes)), "h").on_response(seen)
    return list(seen.response.headers.items())


def test_set_replaces_all_of_that_name() -> None:
    assert requested(("x-a", "1"), ("X-A", "2"), set={"X-A": "3"}) == [("X-A", "3")]


def test_default_gives_way_to_what_is_there() -> None:
    assert requested(("x-a", "1"), default={"X-A": "2", "X-B": "3"}) == [("x-a", "1"), ("X-B", "3")]


def test_default_may_hold_names() -> None:
    assert requested(("x-a", "1"), default={"X-A": "{request.id}", "X-B": "{request.id}"})[1:] == [("X-B", "id-1")]


def test_add_appends() -> None:
    assert responded(("Vary", "Accept"), add={"vary": "Origin"}) == [("Vary", "Accept"), ("vary", "Origin")]


def test_add_may_hold_names() -> None:
    assert responded(add={"X-Was": "{response.status}"}, status=418) == [("X-Was", "418")]


def test_remove_takes_every_field_of_that_name() -> None:
    assert requested(("X-A", "1"), ("x-a", "2"), ("X-B", "3"), remove=("X-a",)) == [("X-B", "3")]


def test_a_star_removes_by_beginning() -> None:
    sent = (("X-Internal-User", "1"), ("x-internal-role", "2"), ("x-internal-role", "3"), ("X-Inter", "4"))

    assert requested(*sent, remove=("X-Internal-*",)) == [("X-Inter", "4")]


def test_a_star_spares_what_the_gateway_manages() -> None:
    assert requested(
        ("Host", "a"), ("Content-Length", "1"), ("Hop", "b"), ("Content-Type", "c"), remove=("ho*", "c*")
    ) == [
        ("Host", "a"),
        ("Content-Length", "1"),
    ]


def test_rename_keeps_all_values_and_displaces_the_new_name() -> None:
    sent = (("X-Old", "1"), ("X-New", "spoofed"), ("x-old", "2"))

    assert requested(*sent, rename={"X-Old": "X-New"}) == [("X-New", "1"), ("X-New", "2")]


def test_rename_of_an_absent_field_touches_nothing() -> None:
    assert requested(("X-New", "1"), rename={"X-Old": "X-New"}) == [("X-New", "1")]


def test_the_order_is_remove_rename_set_default_add() -> None:
    changed = requested(
        ("A", "1"), ("B", "2"), remove=("A",), rename={"B": "A"}, set={"C": "3"}, default={"C": "4"}, add={"C": "5"}
    )

    assert changed == [("A", "2"), ("C", "3"), ("C", "5")]


def test_a_missing_value_removes_what_the_client_sent() -> None:
    sent = exchange(("X-User", "admin"))

    assert requested(seen=sent, set={"X-User": "{identity.subject}"}) == []


def test_identity_reaches_the_service() -> None:
    seen = exchange()
    seen.identity = Identity("alice", "jwt", frozenset({"write", "read"}), claims={"org": 7, "beta": True, "x": []})

    changed = requested(
        seen=seen,
        set={
            "X-User": "{identity.subject}",
            "X-Scopes": "{identity.scopes}",
            "X-Org": "{identity.claim.org}",
            "X-Beta": "{identity.claim.beta}",
            "X-X": "{identity.claim.x}",
        },
    )

    assert dict(changed) == {"X-User": "alice", "X-Scopes": "read write", "X-Org": "7", "X-Beta": "true"}


@pytest.mark.parametrize("hostile", ["a\r\nX-Admin: 1", "a\nb", "a\0b", "a\x7fb", "\r"])
def test_a_value_with_a_control_character_never_gets_out(hostile: str) -> None:
    seen = exchange(("X-Capture", "sent by the client"))
    seen.captures = {"id": hostile}

    assert requested(seen=seen, set={"X-Capture": "{capture.id}"}, add={"X-More": "id={capture.id}"}) == []


def test_a_way_without_changes_has_no_hook() -> None:
    assert Headers(HeadersConfig(), "h").hooks() == ()
    assert Headers(HeadersConfig(request=RequestChanges(remove=("A",))), "h").hooks() == ("on_request",)
    assert Headers(HeadersConfig(response=ResponseChanges(set={"A": "b"})), "h").hooks() == ("on_response",)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"set": {"Content-Length": "1"}}, "frames the message"),
        ({"add": {"transfer-encoding": "chunked"}}, "frames the message"),
        ({"remove": ("Connection",)}, "frames the message"),
        ({"rename": {"X-A": "Upgrade"}}, "frames the message"),
        ({"default": {"Via": "x"}}, "forwarded.via"),
        ({"set": {"Host": "x"}}, "rewrite.host"),
        ({"set": {"X-Forwarded-For": "x"}}, "trusted_proxies"),
        ({"set": {"X A": "1"}}, "use letters, digits and hyphens"),
        ({"set": {"X-A": "1", "x-a": "2"}}, "are the same field; keep one"),
        ({"rename": {"X-A": "x-a"}}, "names do not differ by case"),
        ({"rename": {"X-A": "X-C", "X-B": "x-c"}}, "are the same field; keep one"),
        ({"remove": ("*",)}, 'such as "X-Internal-\\*"'),
        ({"remove": ("X-*-A",)}, "allowed at the end"),
        ({"set": {"X-A": "{response.status}"}}, "use it under response"),
        ({"set": {"X-A": "{request.idd}"}}, "X-A: .*did you mean"),
    ],
)
def test_a_bad_change_is_refused_with_a_remedy(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RequestChanges(**changes)


def test_host_may_be_set_on_a_response_but_not_date() -> None:
    assert responded(set={"Host": "x"}) == [("Host", "x")]
    with pytest.raises(ValueError, match="when it answered"):
        ResponseChanges(remove=("Date",))
