"""What an explanation hides: credentials by the names they travel under, and whatever the config keeps secret."""

from typing import Any

import attrs
import pytest

from spork_core.api import Plugin, Secret, setting
from spork_core.config import loads
from spork_core.explain.model import Decision, LeftOut
from spork_core.explain.redaction import Hider, sensitive, shown_target, shown_value
from spork_core.registry import Registry


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "Api-Key", "ApiKey", "X-Auth",
        "X-Auth-Token", "X-CSRF-Token", "X-Amz-Security-Token", "X-Session-Id", "X-Signature", "access_token",
        "client_secret", "password", "sig", "id_token_hint", "X-JWT-Assertion", "x-goog-iap-jwt-assertion",
    ],
)  # fmt: skip
def test_a_name_that_sounds_like_a_credential_is_hidden(name: str) -> None:
    assert sensitive(name)
    assert shown_value(name, "value") == "***"


@pytest.mark.parametrize(
    "name",
    [
        "Accept", "Host", "User-Agent", "Content-Type", "ETag", "WWW-Authenticate", "Idempotency-Key", "Surrogate-Key",
        "Sec-WebSocket-Key", "Access-Control-Allow-Credentials", "X-Author", "Keep-Alive", "Monkey", "X-Status-Code",
    ],
)  # fmt: skip
def test_any_other_name_is_not(name: str) -> None:
    assert not sensitive(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/x", "/x"),
        ("/x?a=1&token=t&b=2", "/x?a=1&token=***&b=2"),
        ("/x?access_token=", "/x?access_token=***"),
        ("https://app.example.com/cb?code=abc;state=1#id_token=z", "https://app.example.com/cb?code=***;state=1#id_token=***"),
        ("https://me:pw@example.com/x", "https://***@example.com/x"),
        ("me@example.com", "me@example.com"),
        ('<https://a/?key=k>; rel="next"', '<https://a/?key=***>; rel="next"'),
    ],
)  # fmt: skip
def test_credentials_in_urls_are_hidden(text: str, shown: str) -> None:
    assert shown_target(text) == shown


@attrs.frozen
class Settings:
    """Settings with a secret."""

    dsn: str = setting("Where.", default="")
    nested: dict[str, Secret] = setting("More.", factory=dict)


class Guarded(Plugin[Settings]):
    Config = Settings


def hider(text: str, **environ: str) -> Hider:
    offered: dict[str, type[Plugin[Any]]] = {"guarded": Guarded}
    return Hider(loads(text, plugins=Registry(offered), environ=environ))


CONFIG = """
explain: 0123456789abcdef0123456789abcdef
services: {a: {endpoints: ["${env:URL}"]}}
plugins: {guarded: {dsn: "${env:DSN}", nested: {x: hunter2}}}
routes: {r: {match: {}, service: a, rewrite: {set_headers: {X-Tag: "${env:TAG}"}}}}
"""


def test_what_the_config_keeps_secret_is_hidden_in_every_text() -> None:
    hide = hider(CONFIG, URL="http://127.0.0.1:1", DSN="db://u:p@h", TAG="tagged").hide

    decision = hide(Decision("failure", detail="ValueError: hunter2, 0123456789abcdef0123456789abcdef, db://u:p@h"))

    assert decision == Decision("failure", detail="ValueError: ***, ***, ${env:DSN}")
    assert hide((LeftOut("hunter2", "tagged"),)) == (LeftOut("***", "${env:TAG}"),)


def test_where_services_are_is_not_hidden_though_the_environment_says_so() -> None:
    hide = hider(CONFIG, URL="http://127.0.0.1:1", DSN="db://u:p@h", TAG="tagged").hide

    assert hide({"url": "http://127.0.0.1:1"}) == {"url": "http://127.0.0.1:1"}


def test_a_config_without_secrets_hides_nothing() -> None:
    value = {"a": ("b", 1, None)}

    assert hider("services: {}").hide(value) is value
