"""What an explanation says of plugins that authenticate, choose endpoints and answer themselves."""

from collections.abc import Iterable
from typing import Any, ClassVar

from spork_core.api import (
    Attempt,
    Endpoint,
    Exchange,
    GatewayView,
    Identity,
    LocalRoute,
    NoConfig,
    Plugin,
    Response,
    hookimpl,
)
from spork_core.config import loads
from spork_core.explain.forecast import Inquiry, forecast
from spork_core.explain.model import Explanation
from spork_core.gateway import Gateway
from spork_core.registry import Registry

CONFIG = """\
services: {a: {endpoints: [http://127.0.0.1:1]}}
plugins: {key: {}, pick: {}, token: {}, mock: {}}
routes:
  closed: {match: {path: /closed}, service: a, chain: [key, pick]}
  mocked: {match: {path: /mocked}, chain: [mock]}
  empty: {match: {path: /empty}, chain: [pick]}
  filled: {match: {path: "/filled/{name}"}, service: a, rewrite: {path: "/{name}/x"}}
"""


class Key(Plugin[NoConfig]):
    provides: ClassVar[tuple[str, ...]] = ("identity",)

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        return None

    def challenge(self) -> str:
        return "Key"


class Pick(Plugin[NoConfig]):
    @hookimpl
    def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
        return None


class Token(Plugin[NoConfig]):
    @hookimpl
    def local_routes(self, gateway: GatewayView) -> Iterable[LocalRoute]:
        return [LocalRoute("/token", lambda exchange: Response(200), ("POST",), "public")]


class Mock(Plugin[NoConfig]):
    @hookimpl
    def serve(self, exchange: Exchange) -> Response | None:
        return Response(200)


def explained(method: str, path: str, *headers: tuple[str, str]) -> Explanation:
    offered: dict[str, type[Plugin[Any]]] = {"key": Key, "pick": Pick, "token": Token, "mock": Mock}
    registry = Registry(offered)
    gateway = Gateway(loads(CONFIG, plugins=registry, environ={}), registry)
    return forecast(gateway.snapshot, Inquiry.of(method, path, headers, "localhost"))


def test_a_route_that_authenticates_shows_its_401() -> None:
    found = explained("GET", "/closed")

    assert found.identity is not None
    assert (found.identity.required, found.identity.by) == (True, ("key",))
    assert found.refused is not None
    assert (found.refused.status, found.refused.certain) == (401, False)
    assert found.refused.headers == (("WWW-Authenticate", "Key"),)


def test_who_chooses_the_endpoint_is_named() -> None:
    found = explained("GET", "/closed")

    assert found.upstream is not None
    assert found.upstream.deciders == ("pick",)


def test_a_path_of_a_plugin_is_answered_by_it() -> None:
    found = explained("POST", "/token")

    assert (found.route, found.answers, found.upstream) == ("token:/token", "token:/token", None)


def test_a_route_without_service_is_answered_by_serve_or_not_at_all() -> None:
    assert explained("GET", "/mocked").answers == "the serve hooks"
    empty = explained("GET", "/empty").refused
    assert empty is not None
    assert (empty.status, empty.detail) == (404, "Nothing on this route answers this request.")


def test_a_rewrite_may_refuse_a_request() -> None:
    refused = explained("GET", "/filled/%2E%2E;x").refused

    assert refused is not None
    assert refused.status == 400


def test_options_asterisk_is_the_gateways_own() -> None:
    assert explained("OPTIONS", "*").answers == "the gateway itself"


def test_an_upgrade_is_told() -> None:
    headers = ("Connection", "Upgrade"), ("Upgrade", "websocket")

    assert explained("GET", "/filled/a", *headers).upgrade == "websocket"


def test_a_url_is_read_as_clients_do() -> None:
    asked = Inquiry.of("GET", "wss://me@api.example.com:8443?#part", (), "localhost")

    assert (asked.scheme, asked.host, asked.target) == ("https", "api.example.com:8443", "/?")


def test_credentials_and_what_the_environment_says_are_not_shown() -> None:
    text = """
    services: {a: {endpoints: [http://127.0.0.1:1]}}
    routes:
      all: {match: {}, service: a, rewrite: {set_headers: {Authorization: Basic eDp5, X-Tag: "${env:TAG}"}}}
    """
    gateway = Gateway(loads(text, plugins=Registry({}), environ={"TAG": "from outside"}), Registry({}))
    inquiry = Inquiry.of("GET", "/x?token=abc", [("Cookie", "a=b")], "localhost")

    found = forecast(gateway.snapshot, inquiry)

    assert found.upstream is not None
    assert found.upstream.set_headers == {"Authorization": "***", "X-Tag": "${env:TAG}"}
    assert (found.upstream.target, found.asked.target) == ("/x?token=***", "/x?token=***")
    assert found.asked.headers == (("Cookie", "***"),)
