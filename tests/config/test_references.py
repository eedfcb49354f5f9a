"""References to the environment and to files, and that what they resolve to stays hidden."""

# ruff: noqa: E501  a table reads best with one case a line

from pathlib import Path

import pytest

from spork_core.config import dump, loads
from spork_core.config.faults import Resolved
from spork_core.config.references import resolve
from spork_core.units import ParseError
from tests.config.conftest import Faults, Limit, Load, Plugins

HERE = Path()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:A}", "one"),
        ("<${env:A}-${env:B}>", "<one-two>"),
        ("${env:EMPTY}", ""),
        ("${env:EMPTY:-x}", "x"),
        ("${env:NONE:-x:-y}", "x:-y"),
        ("${env:NONE:-}", ""),
        ("$${env:A} ${env:A}", "${env:A} one"),
    ],
)
def test_a_reference_is_replaced(text: str, value: str) -> None:
    assert resolve(text, {"A": "one", "B": "two", "EMPTY": ""}, HERE) == Resolved(value, text)


@pytest.mark.parametrize("text", ["$5", "{a}", "$ {env:A}"])
def test_other_dollars_mean_themselves(text: str) -> None:
    assert (resolve(text, {}, HERE), resolve("$${a}", {}, HERE)) == (text, "${a}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${env:NONE}", 'the environment has no variable NONE; set it, or write "${env:NONE:-default}"'),
        ("${env:}", "${env:} is not a reference; "),
        ("${env:A=B}", "${env:A=B} names no variable; "),
        ("${vault:x}", "${vault:x} is not a reference; "),
        ("${HOME}", "${HOME} is not a reference; "),
        ("${env:A", "${env:A is not closed; "),
        ("${file:none}", "${file:none} cannot be read: No such file or directory"),
        ("${file:.}", "${file:.} is not a regular file"),
    ],
)
def test_a_bad_reference_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError) as refused:
        resolve(text, {}, HERE)
    assert str(refused.value).startswith(message)


def test_a_file_loses_its_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"secret\r\n")
    (tmp_path / "two").write_bytes(b"a\n\n")
    (tmp_path / "bad").write_bytes(b"\xff")
    (tmp_path / "big").write_bytes(b"x" * (2**20 + 1))

    assert [resolve(f"${{file:{name}}}", {}, tmp_path) for name in ("one", "two")] == [
        Resolved("secret", "${file:one}"),
        Resolved("a\n", "${file:two}"),
    ]
    for name, message in (("bad", "is not UTF-8 text"), ("big", "is larger than 1 MiB")):
        with pytest.raises(ParseError, match=message):
            resolve(f"${{file:{name}}}", {}, tmp_path)


def test_a_reference_stands_for_any_kind_of_value(load: Load) -> None:
    text = """
workers: ${env:WORKERS}
listen: ${env:LISTEN}
timeouts: {header: "${env:TIME}"}
forwarded: {forwarded: "${env:YES}"}
plugins: {rate-limit: {limit: "${env:RATE}", key: "${env:KEY}", share: "${env:SHARE}", by: "${env:BY}"}}
"""
    values = {"WORKERS": "2", "LISTEN": "a:1", "TIME": "5s", "YES": "true", "RATE": "5/s", "KEY": "k", "SHARE": "0.25"}

    config = load(text, **values, BY="identity")

    assert (config.workers, str(config.listen[0].address)) == (2, "a:1")
    assert (config.timeouts.header, config.forwarded.forwarded) == (5.0, True)
    settings = config.plugins["rate-limit"].settings
    assert isinstance(settings, Limit)
    assert settings.key is not None
    assert (settings.key.reveal(), settings.share, settings.by) == ("k", 0.25, "identity")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("workers: ${env:S}", '1:10 $.workers: expected a whole number or "auto", found ${env:S}'),
        ("limits: {body: '${env:S}'}", "1:16 $.limits.body: expected a size, found something else in ${env:S}"),
        ("listen: ${env:S}", "1:9 $.listen: expected an address, found something else in ${env:S}"),
        ("chain: ['${env:S}']", "1:9 $.chain[0]: there is no plugin instance of the name in ${env:S}; there are no plugins"),
        ("services: {s: {endpoints: ['${env:S}']}}", "1:28 $.services.s.endpoints[0]: what ${env:S} holds is not valid here"),
        ("plugins: {rate-limit: {limit: 5/s, by: '${env:S}'}}", '1:40 $.plugins.rate-limit.by: expected "identity" or "address", found something else in ${env:S}'),
        ("plugins: {rate-limit: {limit: 5/s, odd: '${env:N}'}}", "1:41 $.plugins.rate-limit.odd: ${env:N} is even"),
        ("plugins: {'rate-limit': {limit: '${env:NONE}'}}", '1:33 $.plugins.rate-limit.limit: the environment has no variable NONE; set it, or write "${env:NONE:-default}"'),
        ("plugins: {a: {use: '${env:S}'}}", "1:20 $.plugins.a.use: the plugin that ${env:S} names is not installed; the installed plugins are broken, greedy, pair, rate-limit, request-id"),
    ],
)  # fmt: skip
def test_a_fault_shows_the_reference_and_never_the_value(faults: Faults, text: str, fault: str) -> None:
    assert faults(text, S="hunter2://", N="1234") == [f"spork.yaml:{fault}"]


def test_a_relative_file_starts_at_the_config(tmp_path: Path, plugins: Plugins) -> None:
    (tmp_path / "count").write_text("3\n", encoding="utf-8")

    config = loads("workers: ${file:count}", file=str(tmp_path / "spork.yaml"), plugins=plugins, environ={})

    assert config.workers == 3


def test_a_dump_shows_references_only(load: Load) -> None:
    text = "plugins: {rate-limit: {limit: 5/s, key: '${env:K}', from: 'a${env:K}', free: {a: ['${env:K}']}}}"

    shown = dump(load(text, K="hunter2"))

    assert "hunter2" not in shown
    assert shown.count("${env:K}") == 3
