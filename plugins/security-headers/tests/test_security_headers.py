"""The plugin's one hook: what ends up on a response."""

import pytest
from spork_security_headers import SecurityHeaders, SecurityHeadersConfig
from spork_security_headers.presets import CSP, CSP_REPORT, HSTS, PRESETS, REVEALING

from spork_core.api import Exchange, Headers, Request, Response


def answered(*sent: tuple[str, str], scheme: str = "http", **settings: object) -> Headers:
    """The fields of a response that came with ``sent``, after the hook."""
    exchange = Exchange(Request(scheme=scheme))
    exchange.response = Response(headers=Headers(sent))
    SecurityHeaders(SecurityHeadersConfig(**settings), "secure").on_response(exchange)
    return exchange.response.headers


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_all_its_fields_over_https(preset: str) -> None:
    assert dict(answered(scheme="https", preset=preset)) == PRESETS[preset]


@pytest.mark.parametrize("mode", ["set-if-absent", "override"])
def test_strict_transport_security_is_never_sent_over_plain_http(mode: str) -> None:
    over_http = answered(scheme="http", mode=mode, headers={"strict-transport-security": "max-age=60"})

    assert HSTS not in over_http
    assert over_http["X-Content-Type-Options"] == "nosniff"


def test_the_services_own_value_stays() -> None:
    assert answered(("content-security-policy", "default-src *")).getall(CSP) == ["default-src *"]


def test_override_replaces_every_field_of_that_name() -> None:
    sent = (("X-Frame-Options", "ALLOWALL"), ("x-frame-options", "DENY"))

    assert answered(*sent, mode="override").getall("X-Frame-Options") == ["SAMEORIGIN"]


def test_one_field_may_differ_from_the_mode() -> None:
    sent = ((CSP, "default-src *"), ("Referrer-Policy", "unsafe-url"))

    headers = answered(*sent, modes={"referrer-policy": "override"})

    assert (headers[CSP], headers["Referrer-Policy"]) == ("default-src *", "strict-origin-when-cross-origin")


def test_keep_leaves_a_field_as_the_service_sent_it() -> None:
    headers = answered(("Server", "nginx"), modes={"Server": "keep", "Permissions-Policy": "keep"})

    assert headers["Server"] == "nginx"
    assert "Permissions-Policy" not in headers


@pytest.mark.parametrize("name", REVEALING)
def test_what_names_the_software_is_removed(name: str) -> None:
    assert name not in answered((name.lower(), "x/1.0"), (name, "y/2.0"))


def test_preset_none_changes_nothing() -> None:
    assert dict(answered(("Server", "nginx"), preset="none")) == {"Server": "nginx"}


def test_a_value_replaces_the_presets() -> None:
    assert answered(headers={"referrer-policy": "no-referrer"}).getall("Referrer-Policy") == ["no-referrer"]


def test_null_removes_a_field_of_the_preset_and_of_the_service() -> None:
    assert "X-Frame-Options" not in answered(("X-Frame-Options", "DENY"), headers={"x-frame-options": None})


def test_report_only_moves_the_policy() -> None:
    headers = answered(preset="api", report_only=True)

    assert CSP not in headers
    assert headers[CSP_REPORT] == PRESETS["api"][CSP]


def test_report_only_moves_the_operators_policy_in_any_case() -> None:
    headers = answered(preset="none", report_only=True, headers={"content-security-policy": "default-src x"})

    assert dict(headers) == {CSP_REPORT: "default-src x"}


def test_the_hook_is_idempotent() -> None:
    once = answered(scheme="https")

    assert answered(*once.items(), scheme="https") == once


@pytest.mark.parametrize(
    ("headers", "remedy"),
    [
        ({"X Frame": "a"}, "use letters, digits and hyphens"),
        ({"Content-Length": "0"}, "leave it to the service"),
        ({"Transfer-Encoding": None}, "leave it to the service"),
        ({"X-A": "1", "x-a": "2"}, "are the same field; keep one"),
        ({"X-A": ""}, "write null to remove"),
        ({"X-A": "a\r\nSet-Cookie: b"}, "write it on one line"),
        ({"X-Frame-Options": "ALLOW-FROM https://a"}, "frame-ancestors"),
        ({"X-Content-Type-Options": "off"}, "nosniff"),
        ({HSTS: "includeSubDomains"}, 'write "max-age='),
        ({HSTS: "max-age=60; preload"}, "includeSubDomains; preload"),
    ],
)
def test_a_bad_field_is_refused_with_a_remedy(headers: dict[str, str | None], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        SecurityHeadersConfig(headers=headers)


@pytest.mark.parametrize(
    "value", ["max-age=0", 'max-age="31536000"', "max-age=63072000; includeSubDomains; preload", "Max-Age=1;foo"]
)
def test_good_transport_security_is_accepted(value: str) -> None:
    assert answered(scheme="https", headers={HSTS: value})[HSTS] == value


def test_a_mode_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match='no rule sets or removes "X-Foo"'):
        SecurityHeadersConfig(modes={"X-Foo": "override"})


def test_two_policies_for_one_field_are_refused() -> None:
    with pytest.raises(ValueError, match="drop that field from headers, or report_only"):
        SecurityHeadersConfig(report_only=True, headers={CSP_REPORT: "default-src x"})
