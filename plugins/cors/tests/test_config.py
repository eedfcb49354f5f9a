"""What the config refuses, each with what to write instead."""

import pytest
from spork_cors import CorsConfig

APP = "https://app.example.com"


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [
        ("app.example.com", 'write "https://app.example.com"'),
        ("https://app.example.com/", 'write "https://app.example.com"'),
        ("https://app.example.com/path?x", 'write "https://app.example.com"'),
        ("https://user@app.example.com", 'write "https://app.example.com"'),
        ("HTTPS://App.example.com", 'write "https://app.example.com"'),
        ("https://app.example.com:443", 'write "https://app.example.com"'),
        ("http://app.example.com:80", 'write "http://app.example.com"'),
        ("https://app.example.com:0443", "write a number"),
        ("https://app.example.com:99999", "write a number"),
        ("https://app.example.com:", 'one like "https://app.example.com"'),
        ("https://", 'one like "https://app.example.com"'),
        ("https://bücher.example", 'write "xn--bcher-kva.example"'),
        ("https://-a.example", "is not a host name"),
        ("https://a..example", "is not a host name"),
        ("https://a b.example", 'one like "https://app.example.com"'),
        ("http://[::0001]", r'write "\[::1\]"'),
        ("http://[::g]", 'one like "https://app.example.com"'),
        ("http://[1:2]", "is not an IPv6 address"),
        ("https://*", "must be the whole first label"),
        ("https://*.com", 'name a domain of yours, "https://\\*.example.com"'),
        ("https://a*.example.com", "must be the whole first label"),
        ("https://app.*.com", "must be the whole first label"),
        ("https://*.*.example.com", "must be the whole first label"),
        ("*.example.com", 'write "https://\\*.example.com"'),
        ("Null", "has no scheme"),
    ],
)
def test_an_origin_that_no_browser_sends(origin: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        CorsConfig(allow_origins=(origin,))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "*",
        "http://localhost:3000",
        "http://*.localhost:3000",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://*.example.com:8443",
        "https://xn--bcher-kva.example",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
        "moz-extension://8a3b2c1d-0000-4000-8000-000000000000",
    ],
)
def test_an_origin_that_browsers_send(origin: str) -> None:
    assert CorsConfig(allow_origins=(origin,)).allow_origins == (origin,)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"allow_origins": ()}, "allows nobody; write"),
        ({"allow_origins": (APP, APP)}, "keep one"),
        ({"allow_origins": ("*", APP)}, 'write "\\*" alone'),
        ({"allow_origins": ("*",), "allow_credentials": True}, "name the origins"),
        ({"allow_origins": ("null",), "allow_credentials": True}, "name the origins"),
        ({"expose_headers": ("*",), "allow_credentials": True}, "name the fields"),
        ({"allow_methods": ("get",)}, 'write "GET"'),
        ({"allow_methods": ("TRACE",)}, "leave it out"),
        ({"allow_methods": ("GET it",)}, "write one like GET"),
        ({"allow_methods": ("*", "GET")}, 'write "\\*" alone'),
        ({"allow_headers": ("a b",)}, "use letters"),
        ({"allow_headers": ("X-A", "x-a")}, "keep one"),
        ({"expose_headers": ("*", "x-a")}, 'write "\\*" alone'),
        ({"max_age": 1.5}, "write one like 10m"),
        ({"max_age": -1.0}, "write one like 10m"),
    ],
)
def test_a_bad_config_is_refused_with_a_remedy(settings: dict[str, object], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        CorsConfig(**{"allow_origins": (APP,), **settings})
