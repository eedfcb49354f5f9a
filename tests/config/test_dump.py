"""A dump shows the effective config, hides secrets, and loads back to an equal one."""

from hypothesis import given
from hypothesis import strategies as st

from spork_core.config import (
    Address,
    Admin,
    ClientTimeouts,
    EndpointConfig,
    GatewayConfig,
    InstanceConfig,
    Limits,
    Listener,
    MatchConfig,
    RewriteConfig,
    RouteConfig,
    ServiceConfig,
    TimeoutOverrides,
    UpstreamTimeouts,
    dump,
    to_plain,
)
from spork_core.units import Rate
from tests.config.conftest import Level, Limit, Load, Rule

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
SECONDS = st.integers(1, 10**7).map(lambda millis: millis / 1000)
SIZES = st.integers(64, 2**40)
#: What YAML and the references make hard: indicators, numbers, words, line ends, control and wide characters.
TEXT = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "NO",
        "null",
        "1e3",
        ".5e5",
        "0o17",
        "1_0",
        "~",
        "-",
        "a: b",
        "#",
        "${env:X}",
        "$${",
        "\x7f",
        "\u2028",
        "😀",
        " a ",
    ]
)
PRINTABLE = TEXT.map(lambda text: text.encode(errors="ignore").decode())
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).filter(lambda text: text[:1] != "~")
PATHS = st.sampled_from(["/*", "/a", "/a/*", "/a/{id}", "/a/{id}/*", "~^/a(?P<x>.*)$"])

settings = st.builds(
    Limit,
    limit=st.builds(Rate, st.integers(1, 10**6), SECONDS),
    by=st.sampled_from(["identity", "address"]),
    size=st.none() | SIZES,
    burst=st.integers(1, 10**6),
    share=st.floats(allow_nan=False, allow_infinity=False),
    level=st.sampled_from(Level),
    rules=st.lists(st.builds(Rule, PRINTABLE, SECONDS), max_size=2).map(tuple),
    free=st.dictionaries(PRINTABLE, st.none() | st.booleans() | st.integers() | PRINTABLE, max_size=3),
    codes=st.dictionaries(st.integers(), PRINTABLE, max_size=2),
    source=st.none() | PRINTABLE,
)
services = st.builds(
    ServiceConfig,
    endpoints=st.lists(
        st.builds(EndpointConfig, NAMES.map(lambda name: f"http://{name.strip('-')}"), st.integers(1, 9)),
        max_size=3,
        unique_by=lambda endpoint: endpoint.url,
    ).map(tuple),
    timeouts=st.builds(UpstreamTimeouts, connect=SECONDS, total=st.none() | SECONDS),
)
routes = st.builds(
    RouteConfig,
    match=st.builds(
        MatchConfig,
        host=st.lists(st.sampled_from(["a.example", "*.b.example"]), max_size=2).map(tuple),
        path=PATHS,
        methods=st.lists(st.sampled_from(["GET", "POST"]), unique=True).map(tuple),
        headers=st.dictionaries(NAMES, VALUES, max_size=2),
        query=st.dictionaries(PRINTABLE, VALUES, max_size=2),
    ),
    service=st.just("s"),
    rewrite=st.builds(RewriteConfig, set_headers=st.dictionaries(NAMES.map("x-{}".format), VALUES, max_size=2)),
    chain=st.just(("i",)),
    authenticate=st.sampled_from([None, "required", "optional"]),
    timeouts=st.none() | st.builds(TimeoutOverrides, idle=st.none() | SECONDS),
    body_limit=st.none() | SIZES,
    priority=st.integers(-5, 5),
)
LISTEN = (Listener(Address("a", 1)),)
configs = st.builds(
    GatewayConfig,
    listen=st.sampled_from([LISTEN, (*LISTEN, Listener(Address("::1", 2)), Listener(Address(path="/x y")))]),
    admin=st.none() | st.just(Admin(Listener(Address("0.0.0.0", 3)), True)),
    workers=st.just("auto") | st.integers(1, 9),
    limits=st.builds(Limits, body=st.none() | SIZES, headers=SIZES),
    timeouts=st.builds(ClientTimeouts, header=SECONDS, drain=SECONDS | st.just(0.0)),
    services=st.fixed_dictionaries({"s": services}),
    plugins=st.builds(
        lambda value, enabled, timeout: {
            "i": InstanceConfig("i", "rate-limit", enabled, None, timeout, settings=value)
        },
        settings,
        st.booleans(),
        st.none() | SECONDS,
    ),
    routes=st.dictionaries(NAMES, routes, max_size=3),
)  # fmt: skip


@given(configs)
def test_a_dump_loads_back_to_an_equal_config(load: Load, config: GatewayConfig) -> None:
    assert load(dump(config)) == config


def test_defaults_are_filled_in_and_secrets_are_not_shown(load: Load) -> None:
    plain = to_plain(load("plugins: {rate-limit: {limit: 60/minute, key: hunter2}}"))

    assert plain["plugins"]["rate-limit"] == {
        "use": "rate-limit", "enabled": True, "on_failure": None, "timeout": None, "budget": None,
        "quarantine": {
            "enabled": None, "ratio": 0.5, "failures": 20, "within": "10s", "pause": "10s", "max_pause": "5m"
        },
        "limit": "60/minute", "by": "address", "size": None, "burst": 1, "share": 0.5, "key": "***",
        "level": "low", "rules": [], "free": {}, "codes": {}, "from": None, "odd": 1,
    }  # fmt: skip
    assert plain["timeouts"]["keep_alive"] == "75s"
    assert (plain["limits"]["header"], plain["listen"], plain["chain"]) == ("16KiB", ["127.0.0.1:8080"], [])


def test_a_dump_with_references_loads_back(load: Load) -> None:
    text = """
listen: ${env:HOST}:1
admin: {listen: {address: "${env:HOST}:2"}}
services: {s: {endpoints: [{url: "http://${env:HOST}"}, "http://b.${env:HOST}"]}}
plugins: {i: {use: "${env:USE}", limit: 5/s, key: "${env:KEY}", timeout: "${env:TIME}"}}
chain: ["${env:I}"]
"""
    values = {"HOST": "localhost", "USE": "rate-limit", "KEY": "hunter2", "TIME": "5s", "I": "i"}

    config = load(text, **values)

    assert load(dump(config), **values) == config
    assert dump(load(dump(config), **values)) == dump(config)
    for shown in ("listen: ${env:HOST}:1", "key: ${env:KEY}", "timeout: ${env:TIME}"):
        assert shown.split(": ", 1)[1] in dump(config)
    assert "hunter2" not in dump(config)
