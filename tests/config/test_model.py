"""A good config becomes the model: defaults, notations, short forms."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from spork_core.config import (
    Address,
    Admin,
    EndpointConfig,
    GatewayConfig,
    InstanceConfig,
    Listener,
    Secret,
    TimeoutOverrides,
    loads,
)
from spork_core.errors import ConfigError
from spork_core.units import ParseError, Rate
from tests.config.conftest import Level, Limit, Load, Pair, Plugins, Rule

WHOLE = """
listen: 127.0.0.1:9000
admin: {listen: unix:/run/spork.sock}
trusted_proxies: [10.0.0.0/8, "::1"]
workers: auto
limits: {body: 10MB, request_line: 4KiB}
timeouts: {header: 250ms, keep_alive: 0}
services:
  users:
    endpoints: [http://127.0.0.1:9001, {url: "unix:/run/app.sock", weight: 3}]
    timeouts: {connect: 1s, total: 1m}
plugins:
  request-id:
  limit-60: {use: rate-limit, limit: 60/minute, by: identity, timeout: 50ms, key: k, level: high, odd: 3}
  off: {use: pair, enabled: false, on_failure: open, low: 1, high: 2}
chain: [request-id]
routes:
  one:
    match: {host: API.example.com, path: "/users/{id}", methods: [GET], headers: {X-A: "~a+"}, query: {v: "*"}}
    rewrite: {path: "/v2/{id}", set_headers: {X-B: b}}
    service: users
    chain: [limit-60]
    without: [request-id]
    timeouts: {response: 2s}
    body_limit: 1KiB
"""


def test_an_empty_file_is_all_defaults(load: Load) -> None:
    assert (
        load("")
        == load("# nothing")
        == load("plugins:\nroutes:\nlimits:\nchain:\nlisten:\n  127.0.0.1:8080")
        == GatewayConfig()
    )


def test_the_listeners(load: Load) -> None:
    config = load(WHOLE)

    assert config.listen == (Listener(Address("127.0.0.1", 9000)),)
    assert config.admin == Admin(Listener(Address(path="/run/spork.sock")))
    assert load("admin: null").admin is None


def test_the_scalars(load: Load) -> None:
    config = load(WHOLE)

    assert config.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert (config.workers, config.limits.body, config.limits.request_line) == ("auto", 10_000_000, 4096)
    assert (config.timeouts.header, config.timeouts.keep_alive, config.timeouts.body) == (0.25, 0.0, 30.0)


def test_a_service(load: Load) -> None:
    users = load(WHOLE).services["users"]

    assert users.endpoints == (EndpointConfig("http://127.0.0.1:9001"), EndpointConfig("unix:/run/app.sock", 3))
    assert (users.timeouts.connect, users.timeouts.response, users.timeouts.total) == (1.0, 15.0, 60.0)


def test_the_instances(load: Load) -> None:
    found = load(WHOLE).plugins

    assert found["request-id"] == InstanceConfig("request-id", "request-id")
    settings = Limit(limit=Rate(60, 60), by="identity", key=Secret("k"), level=Level.HIGH, odd=3)
    assert found["limit-60"] == InstanceConfig("limit-60", "rate-limit", timeout=0.05, settings=settings)
    assert found["off"] == InstanceConfig("off", "pair", False, "open", settings=Pair(1, 2))


def test_a_route(load: Load) -> None:
    route = load(WHOLE).routes["one"]

    assert route.match.host == ("api.example.com",)
    assert (route.match.headers, route.match.query) == ({"X-A": "~a+"}, {"v": "*"})
    assert (route.chain, route.without, route.body_limit) == (("limit-60",), ("request-id",), 1024)
    assert route.timeouts == TimeoutOverrides(response=2.0)


def test_nested_classes_aliases_and_free_values(load: Load) -> None:
    text = """plugins: {rate-limit: {limit: 5/s, rules: [{name: a, wait: 2s}], from: here,
      free: {a: [1, x, null], b: {c: true}}, codes: {404: gone}}}"""

    settings = load(text).plugins["rate-limit"].settings

    assert settings == Limit(
        Rate(5, 1),
        rules=(Rule("a", 2.0),),
        source="here",
        free={"a": [1, "x", None], "b": {"c": True}},
        codes={404: "gone"},
    )


def test_json_is_yaml(load: Load) -> None:
    assert (
        load('{\n\t"workers": 2,\n\t"chain": [\n\t\t"request-id"\n\t],\n\t"plugins": {"request-id": {}}\n}').workers
        == 2
    )


def test_instances_of_one_anchor_share_a_config(load: Load) -> None:
    text = """plugins:
      a: &base {use: rate-limit, limit: 5/s, burst: 2}
      b: {<<: *base, burst: 3}
      c: *base"""

    found = load(text).plugins

    assert [found[name].settings for name in "abc"] == [Limit(Rate(5, 1), burst=burst) for burst in (2, 3, 2)]


def test_equal_instances_are_equal_after_a_reload(load: Load) -> None:
    assert load(WHOLE).plugins == load(WHOLE).plugins
    assert load(WHOLE).plugins["limit-60"] != load(WHOLE.replace("key: k", "key: j")).plugins["limit-60"]


def test_relative_paths_start_at_the_file(plugins: Plugins) -> None:
    text = "services: {a: {endpoints: [], tls: {ca: ca.pem}}}"

    with pytest.raises(ConfigError, match=re.escape(f"{Path('conf/ca.pem')} cannot be read")):
        loads(text, file="conf/spork.yaml", plugins=plugins, environ={})


def test_reprs_are_short_and_keep_secrets(load: Load) -> None:
    config = load(WHOLE)

    assert repr(config) == "<GatewayConfig 127.0.0.1:9000: 1 services, 3 plugins, 1 routes>"
    assert repr(config.plugins["off"]) == "<InstanceConfig off use=pair disabled>"
    assert (repr(Secret("x")), str(Secret("x")), f"{Secret('x')}") == ("Secret(***)", "***", "***")
    assert Secret("x") == Secret("x", "${env:X}") != Secret("y")
    assert {Secret("x"), Secret("x")} == {Secret("x")}
    assert (bool(Secret("")), Secret("x").reveal()) == (False, "x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("[::1]:80", Address("::1", 80)),
        ("localhost:0", Address("localhost", 0)),
        ("unix:/run/s", Address(path="/run/s")),
    ],
)
def test_an_address_round_trips(text: str, address: Address) -> None:
    assert (Address.parse(text), str(address), address.is_loopback) == (address, text, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8080", '"8080" is not an address; write "127.0.0.1:8080"'),
        ("example", '"example" is not an address; write "example:8080"'),
        (":8080", '":8080" has no host; write "0.0.0.0:8080" for all interfaces'),
        ("a:65536", '"a:65536" has no port from 0 to 65535; write "a:8080"'),
        ("::1:80", '"::1:80" is ambiguous; write "[::1]:80"'),
        ("[1.2.3.4]:80", '"1.2.3.4" is not an IPv6 address'),
        ("a b:80", '"a b" is not a host name or address'),
        ("unix:run", '"unix:run" is not an absolute socket path; write "unix:/run/spork.sock"'),
    ],
)
def test_a_bad_address_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError) as refused:
        Address.parse(text)
    assert str(refused.value) == message
