"""Templates: what they compile to, what they refuse, and that they never let a control character out."""

import pytest
from hypothesis import given
from hypothesis.strategies import from_regex, text
from spork_headers.templates import FAMILIES, NAMES, Template

from spork_core.api import FIELD_VALUE, Exchange, Headers, Identity, Request, Response, RouteInfo


def exchange(capture: str = "7") -> Exchange:
    headers = Headers({"X-Tenant": "blue"})
    seen = Exchange(Request("PUT", "/u/7", "q=1", headers=headers, scheme="https", host="h.test:81", client="::1"))
    seen.id = "id-1"
    seen.route = RouteInfo("users", "/u/{id}", "people")
    seen.captures = {"id": capture}
    seen.identity = Identity("alice", "jwt", frozenset({"b", "a"}), frozenset({"admin"}), {"tier": "gold"})
    seen.response = Response(201, headers={"ETag": '"1"'})
    return seen


def filled(template: str, seen: Exchange | None = None) -> str | None:
    return Template(template, responding=True).fill(seen or exchange())


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{request.id}", "id-1"),
        (
            "{request.method} {request.scheme}://{request.host}{request.path}?{request.query}",
            "PUT https://h.test:81/u/7?q=1",
        ),
        ("{client.ip}", "::1"),
        ("{route.name}/{service.name}", "users/people"),
        ("{identity.subject};{identity.scheme};{identity.scopes};{identity.roles}", "alice;jwt;a b;admin"),
        ("{identity.claim.tier}", "gold"),
        ("user-{capture.id}", "user-7"),
        ("{request.header.x-tenant}", "blue"),
        ("{response.status} {response.header.etag}", '201 "1"'),
        ("100 % {{ {request.id} }}", "100 % { id-1 }"),
    ],
)
def test_what_a_template_becomes(template: str, value: str) -> None:
    assert filled(template) == value


@pytest.mark.parametrize("name", [*NAMES, *(f"{prefix}x" for prefix in FAMILIES)])
def test_every_name_copes_with_a_bare_exchange(name: str) -> None:
    value = filled(f"{{{name}}}", Exchange(Request()))

    assert value is None or isinstance(value, str)


@pytest.mark.parametrize("name", ["capture.x", "request.header.x", "identity.claim.x", "response.header.x"])
def test_one_missing_value_drops_the_whole(name: str) -> None:
    assert filled(f"a {{{name}}} b {{request.id}}") is None


def test_an_empty_value_is_missing() -> None:
    assert filled("{client.ip}", Exchange(Request(client=""))) is None


@pytest.mark.parametrize("template", ["", "plain", "100 %", "%s", "{{x}}", "tab\there", "naïve"])
def test_a_template_without_names_is_fixed(template: str) -> None:
    assert Template(template, responding=False).fixed == template.replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{request.ip}", "known are: request.id, .*capture.<name>"),
        ("{identity.subjct}", 'did you mean "{identity.subject}"'),
        ("{}", "is not known"),
        ("{capture.}", "is not known"),
        ("{request.header.a b}", "names no header"),
        ("{request.id", 'write "{{" for the sign itself'),
        ("a}", 'write "}}" for the sign itself'),
        ("a\r\nb", "write it on one line"),
    ],
)
def test_a_bad_template_is_refused_with_a_remedy(template: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Template(template, responding=True)


@given(text())
def test_no_capture_ever_gets_a_control_character_out(capture: str) -> None:
    value = filled("id={capture.id}", exchange(capture))

    assert value is None or (FIELD_VALUE.fullmatch(value) and value == f"id={capture}")


@given(from_regex(r"[ -~\t]*", fullmatch=True))
def test_doubled_braces_always_mean_themselves(plain: str) -> None:
    doubled = plain.replace("{", "{{").replace("}", "}}")

    assert Template(doubled, responding=False).fixed == plain
