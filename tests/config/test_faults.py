"""A table of bad configs and what each is told: place, path, what was found, what to write."""

# ruff: noqa: E501  a table reads best with one case a line

from pathlib import Path

import pytest

from spork_core.config import load, locate
from spork_core.config.faults import nearest, suggest
from spork_core.errors import ConfigError, ConfigProblem
from tests.config.conftest import Faults, Plugins


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("wrokers: 2", '1:1 $.wrokers: unknown key; did you mean "workers"?'),
        ("workers: 0", "1:10 $.workers: must be at least 1"),
        ('workers: "2"', '1:10 $.workers: expected a whole number or "auto", found "2"'),
        ("listen: 8080", '1:9 $.listen: expected an address, found 8080; write "127.0.0.1:8080"'),
        ("listen: [a:1, 5]", '1:15 $.listen[1]: expected an address, found 5; write "127.0.0.1:5"'),
        ("listen: [[a:1]]", "1:10 $.listen[0]: expected an address or a mapping, found a list"),
        ("listen: {tls: null}", '1:1 $.listen: "address" is missing; add address: an address'),
        ("admin: 127.0.0.1:80", '1:8 $.admin: expected a mapping, found "127.0.0.1:80"'),
        ("limits: {body: 10}", '1:16 $.limits.body: "10" has no unit; write "10B"'),
        ("limits: {body: 10mb}", '1:16 $.limits.body: "10mb" has an unknown unit "mb"; write "10MB"'),
        ("limits: {connections: '7'}", '1:23 $.limits.connections: expected a whole number, found "7"; write 7'),
        ("limits: {connections: 7.0}", "1:23 $.limits.connections: expected a whole number, found 7.0"),
        ("limits: {connections: true}", "1:23 $.limits.connections: expected a whole number, found true"),
        ("limits: [1]", "1:1 $.limits: expected a mapping, found a list"),
        ("timeouts: {body: 0}", "1:18 $.timeouts.body: must be more than 0"),
        ("forwarded: {forwarded: NO}", '1:24 $.forwarded.forwarded: expected true or false, found "NO"; write false'),
        ("forwarded: {via: 5}", '1:18 $.forwarded.via: expected text, found 5; write "5"'),
        ("trusted_proxies: [10.0.0.1/8]", '1:19 $.trusted_proxies[0]: "10.0.0.1/8" has bits set behind the prefix; write "10.0.0.0/8"'),
        ("trusted_proxies: [x]", '1:19 $.trusted_proxies[0]: "x" is not a network; write it like "10.0.0.0/8"'),
        ("chain: request-id", '1:8 $.chain: expected a list of text, found "request-id"'),
        ("services: {a: {}}", '1:12 $.services.a: "endpoints" is missing; add endpoints: a list of mappings'),
        ("services: {a: {endpoints: [5]}}", '1:28 $.services.a.endpoints[0]: expected text, found 5; write "5"'),
        ("routes: {a: {service: s}}", '1:10 $.routes.a: "match" is missing; add match: a mapping'),
        ("routes: {a: {match: {}, authenticate: maybe}}", '1:39 $.routes.a.authenticate: expected "required" or "optional", found "maybe"'),
        ("routes: {1: {match: {}}}", '1:10 $.routes[1]: expected text, found 1; write "1"'),
        ("routes: {'a b': {match: {}}}", '1:10 $.routes["a b"]: not a name; use letters, digits, dots, hyphens and underscores, at most 128'),
        ("plugins: [jwt]", "1:1 $.plugins: expected a mapping, found a list"),
        ("plugins: {jwt: 5}", "1:16 $.plugins.jwt: expected a mapping, found 5"),
        ("plugins: {jwt: {}}", '1:11 $.plugins.jwt: no plugin "jwt" is installed; pip install spork-jwt (the installed plugins are broken, greedy, pair, rate-limit, request-id)'),
        ("plugins: {a: {use: rate-limt}}", '1:20 $.plugins.a.use: no plugin "rate-limt" is installed; did you mean "rate-limit"? Or pip install spork-rate-limt'),
        ("plugins: {broken: {}}", '1:11 $.plugins.broken: plugin "broken" cannot be used: it cannot be imported'),
        ("plugins: {greedy: {}}", '1:11 $.plugins.greedy: plugin "greedy" cannot be used: its setting timeout is a key of every instance; its author must rename it'),
        ("plugins: {rate-limit: {}}", '1:11 $.plugins.rate-limit: "limit" is missing; add limit: a rate'),
        ("plugins: {rate-limit: {limt: 5/s, limit: 5/s}}", '1:24 $.plugins.rate-limit.limt: unknown key; did you mean "limit"?'),
        ("plugins: {rate-limit: {limit: 60}}", '1:31 $.plugins.rate-limit.limit: "60" has no period; write "60/minute"'),
        ("plugins: {rate-limit: {limit: 5/s, level: hgih}}", '1:43 $.plugins.rate-limit.level: expected "low" or "high", found "hgih"; did you mean "high"?'),
        ("plugins: {rate-limit: {limit: 5/s, key: 1234}}", "1:41 $.plugins.rate-limit.key: expected text for a secret, found a number; put it in quotes"),
        ("plugins: {rate-limit: {limit: 5/s, odd: 2}}", "1:41 $.plugins.rate-limit.odd: 2 is even"),
        ("plugins: {rate-limit: {limit: 5/s, share: .nan}}", "1:43 $.plugins.rate-limit.share: expected a number, found nan"),
        ("plugins: {rate-limit: {limit: 5/s, rules: [{wait: 1}]}}", '1:51 $.plugins.rate-limit.rules[0].wait: "1" has no unit; write "1s"'),
        ("plugins: {rate-limit: {limit: 5/s, codes: {x: y}}}", '1:44 $.plugins.rate-limit.codes.x: expected a whole number, found "x"'),
        ("plugins: {pair: {low: 2, high: 1}}", "1:11 $.plugins.pair: low is above high"),
        ("plugins: {request-id: {a: 1}}", "1:24 $.plugins.request-id.a: unknown key; the keys are budget, enabled, on_failure, quarantine, timeout, use"),
        ("plugins: {request-id: {enabld: false}}", '1:24 $.plugins.request-id.enabld: unknown key; did you mean "enabled"?'),
        ("plugins: {request-id: {on_failure: opne}}", '1:36 $.plugins.request-id.on_failure: expected "closed" or "open", found "opne"; did you mean "open"?'),
        ("plugins: {request-id: {timeout: 5}}", '1:33 $.plugins.request-id.timeout: "5" has no unit; write "5s"'),
    ],
)  # fmt: skip
def test_one_fault(faults: Faults, text: str, fault: str) -> None:
    assert f"spork.yaml:{fault}" in faults(text)


def test_all_faults_come_at_once_in_file_order(faults: Faults) -> None:
    text = """workers: none
services:
  users: {endpoints: [ftp://x], timeouts: {connect: 5, total: 0}}
plugins:
  limit: {use: rate-limit, limit: 60/minute, burst: 0, odd: 4, by: name}
chain: [limti]
routes:
  a: {match: {host: 'a*'}, service: user, chain: [limit]}
"""

    found = [fault.removeprefix("spork.yaml:").partition(": ")[0] for fault in faults(text)]

    assert found == [
        "1:10 $.workers",
        "3:23 $.services.users.endpoints[0]",
        "3:53 $.services.users.timeouts.connect",
        "3:63 $.services.users.timeouts.total",
        "5:53 $.plugins.limit.burst",
        "5:61 $.plugins.limit.odd",
        "5:68 $.plugins.limit.by",
        "6:9 $.chain[0]",
        "8:21 $.routes.a.match.host",
        "8:37 $.routes.a.service",
    ]


def test_a_disabled_instance_is_checked_too(faults: Faults) -> None:
    assert faults("plugins: {request-id: {enabled: false, x: 1}}") != []


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, plugins: Plugins) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: \$: cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml", plugins=plugins)


def test_a_late_fault_gets_its_place(tmp_path: Path) -> None:
    file = tmp_path / "spork.yaml"
    file.write_text("routes:\n  a.b:\n    match: {path: /x}\n", encoding="utf-8")

    error = locate(ConfigError([ConfigProblem("clashes", path="$.routes.a.b.match.path")]), file)

    assert str(error) == f"{file}:3:19 $.routes.a.b.match.path: clashes"


def test_the_nearest_name() -> None:
    assert (nearest("Limt", ["limit", "burst"]), nearest("zzz", ["limit"])) == ("limit", None)
    assert suggest("x", [], "plugins") == "there are no plugins"
    assert suggest("x", [f"name{n:02}" for n in range(14)], "keys").endswith("name11 and 2 more")
