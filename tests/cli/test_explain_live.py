"""``spork explain --live`` and ``--token``: a real gateway is asked, and what it tells is shown."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from spork_core.cli.explanation import printable
from spork_core.config.fields import Secret
from spork_core.config.policy import ExplainConfig
from spork_core.explain import tokens
from tests.cli.conftest import Spork
from tests.wire.conftest import Running, Wire, gateway, holds, upstream

SECRET = "0123456789abcdef" * 2
EXPLAIN = ExplainConfig(Secret(SECRET))


@pytest.fixture
def live(run: Spork, folder: Path) -> Callable[..., Any]:
    """Runs ``spork explain … --live`` against a gateway, with a config of the same secret."""

    async def live(gate: Running, *arguments: str, secret: str = SECRET) -> Result:
        file = folder / "spork.yaml"
        file.write_text(f"listen: 127.0.0.1:{gate.address[1]}\nexplain: {secret}\nadmin: null\n")
        return await asyncio.to_thread(run, "explain", *arguments, "--live")

    return live


@pytest.fixture
def explains(config: Path) -> Path:
    """A config file with ``explain``."""
    config.write_text(f"explain: {SECRET}\n")
    return config


async def test_a_real_request_is_told_of(live: Callable[..., Any]) -> None:
    async with upstream() as backend, gateway(backend, explain=EXPLAIN) as gate:
        result = await live(gate, "GET", "http://api.example.com/x?a=1", "-H", "Accept: text/plain")

        assert (
            backend.last.must_ask("GET", "/x?a=1")
            .must_have("Host", "api.example.com")
            .must_have("Accept", "text/plain")
        )
    for part in (
        "Host: api.example.com",
        "→  all",
        f"1  {backend.url}  new         200",
        "200 OK of service up",
        "2 bytes",
    ):
        assert part in result.output


async def test_content_is_sent_and_json_is_the_gateways(live: Callable[..., Any], folder: Path) -> None:
    (folder / "body").write_bytes(b"from a file")
    async with upstream() as backend, gateway(backend, explain=EXPLAIN) as gate:
        await live(gate, "POST", "/x", "-d", "text")
        result = await live(gate, "POST", "/x", "-d", f"@{folder / 'body'}", "--json")

        assert [received.body for received in backend.got] == [b"text", b"from a file"]
    found = json.loads(result.stdout)
    assert (found["live"], found["attempts"][0]["status"]) == (True, 200)


async def test_to_names_another_gateway(live: Callable[..., Any], run: Spork) -> None:
    async with upstream() as backend, gateway(backend, explain=EXPLAIN) as gate:
        await live(gate, "GET", "/x")
        result = await asyncio.to_thread(run, "explain", "GET", "/y", "--live", "--to", gate.url)

        assert result.exit_code == 0
        assert backend.last.target == "/y"


async def test_what_comes_from_outside_cannot_steer_the_terminal(live: Callable[..., Any]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Evil: \xc2\x9b31m\xe2\x80\xae\xff\r\n\r\n"
    async with upstream(answer) as backend, gateway(backend, explain=EXPLAIN) as gate:
        text, data = await live(gate, "GET", "/x"), await live(gate, "GET", "/x", "--json")

    assert r"X-Evil: \x9b31m\u202e\udcff" in text.output
    assert data.stdout.isascii()


async def test_an_early_hint_is_not_the_answer(live: Callable[..., Any]) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with upstream(hints) as backend, gateway(backend, explain=EXPLAIN) as gate:
        assert (await live(gate, "GET", "/x")).exit_code == 0


# -- no explanation to be had ---------------------------------------------------------------------------


async def test_another_secret_is_said_to_be_one(live: Callable[..., Any]) -> None:
    async with upstream() as backend, gateway(backend, explain=EXPLAIN) as gate:
        result = await live(gate, "GET", "/x", secret=SECRET[::-1])

    assert result.exit_code == 1
    assert "refuses to explain: The token in X-Spork-Explain was made with another secret" in result.stderr


async def test_a_gateway_that_explains_nothing_is_told_from_one_that_does(live: Callable[..., Any]) -> None:
    async def endless(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await wire.forever()

    async with upstream(endless) as backend, gateway(backend) as gate:
        result = await live(gate, "GET", "/x")
        await holds(lambda: backend.wires[0].ended(), "the client to leave")

    assert result.exit_code == 1
    assert "answered 200 without an explanation" in result.stderr
    assert "its config has no explain" in result.stderr


async def test_an_answer_to_a_bad_request_is_shown(live: Callable[..., Any]) -> None:
    async with upstream() as backend, gateway(backend, explain=EXPLAIN) as gate:
        result = await live(gate, "GET", "/x", "-H", "Upgrade: websocket", "-H", "Host: a b")

    assert "answered 400 without an explanation: The Host header field is malformed." in result.stderr


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nX-Spork-Explain: 1\r\nContent-Length: 2\r\n\r\n{}"]
)
async def test_what_is_no_gateway_is_said_to_be_none(answer: bytes, run: Spork, explains: Path) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        if answer:
            await wire.send(answer)

    async with upstream(script) as server:
        result = await asyncio.to_thread(run, "explain", "GET", "/x", "--live", "--to", server.url)

    assert result.exit_code == 1
    assert "no gateway answers" in result.stderr or "cannot be read" in result.stderr


def test_nobody_there_is_said(run: Spork, explains: Path) -> None:
    result = run("explain", "GET", "/x", "--live", "--to", "http://127.0.0.1:1")

    assert (result.exit_code, "no gateway answers at http://127.0.0.1:1" in result.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [("GET", "/x", "--live"), ("--token",)])
def test_a_config_without_explain_says_how_to_get_one(run: Spork, config: Path, arguments: tuple[str, ...]) -> None:
    result = run("explain", *arguments)

    assert result.exit_code == 1
    assert "the config has no explain" in result.stderr
    assert "add explain: {secret:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "METHOD and URL are missing"),
        (("GET",), "METHOD and URL are missing"),
        (("HEAD", "/x", "--live"), "ask with GET"),
        (("GET", "/x", "-d", "a"), "for --live"),
        (("GET", "/x", "--to", "http://a"), "for --live"),
        (("GET", "/x", "--live", "-H", "Content-Length: 3"), "give that with --data"),
        (("GET", "/x y"), "control character"),
        (("GET\r\nX:", "/x"), "control character"),
        (("GET", "/x", "--live", "-d", "@missing"), "cannot be read"),
        (("GET", "/x", "--live", "--to", "nonsense:x"), "--to"),
        (("GET", "users", "--token"), "is no path"),
        (("--token", "--for", "ten"), "--for"),
        (("--token", "--for", "2d"), "a day at most"),
        (("--token", "--live"), "does nothing else"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    run: Spork, explains: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run("explain", *arguments)

    assert (result.exit_code, says in result.stderr) == (2, True), result.stderr


# -- tokens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "lifetime", "what"),
    [
        ((), 600, ("", "")),
        (("--for", "1h"), 3600, ("", "")),
        (("GET", "/users/"), 600, ("GET", "/users")),
        (("spork.yaml",), 600, ("", "")),
        (("GET", "/users", "spork.yaml"), 600, ("GET", "/users")),
    ],
)
def test_a_token_is_good_for_what_was_asked(
    run: Spork, explains: Path, arguments: tuple[str, ...], lifetime: int, what: tuple[str, str]
) -> None:
    now = time.time()

    token = tokens.read(run("explain", "--token", *arguments).stdout.strip(), SECRET, now)

    assert (token.method, token.prefix) == what
    assert 0 <= token.expires - int(now + lifetime) <= 5


async def test_a_token_works_in_any_client(run: Spork, explains: Path) -> None:
    token = (await asyncio.to_thread(run, "explain", "--token", "GET", "/x")).stdout.strip()

    async with upstream() as backend, gateway(backend, explain=EXPLAIN) as gate:
        (await gate.get("/x", headers={"X-Spork-Explain": token})).must_be(200).must_have("X-Spork-Explain", "1")


@pytest.mark.parametrize(
    ("text", "shown"), [("→ ä", "→ ä"), ("\x1b[31m", r"\x1b[31m"), ("a\nb", r"a\nb"), ("\udcff\u202e", r"\udcff\u202e")]
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
