"""Every line that ``spork demo`` prints does what it says, in a shell, against the running demo."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.test_processes import Process

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the demo's lines are for curl")

SAYS = {
    "/users/1   ": r"^HTTP/1.1 401 (?s:.)*WWW-Authenticate: Bearer realm",
    "/users -H": r"^HTTP/1.1 20[01] (?s:.)*(Ada Lovelace|Alan Turing)",
    "-X PATCH": r"^HTTP/1.1 200 (?s:.)*Countess Lovelace",
    "-X DELETE": r"^HTTP/1.1 204 ",
    "/whoami": r'"X-User-Id",\s+"ada"(?s:.)*"X-User-Roles",\s+"admin"',
    "/few": r"(HTTP/1.1 200 (?s:.)*){3}HTTP/1.1 429 (?s:.)*Retry-After: \d+",
    "/fortune": r"fwd=uri-miss; (?s:.)*stored(?s:.)*Age: \d+\s+Cache-Status: spork; hit",
    "# 200: the second attempt": r"^HTTP/1.1 200 ",
    "/shaky/broken": r"^(500 ){5}503 $",
    "# 503: open": r"^HTTP/1.1 503 (?s:.)*Retry-After: \d+",
    "grep -A1 traceparent": r'"traceparent",\s+"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]"',
    ".trace_id.": r'"trace_id": "[0-9a-f]{32}"',
    "Origin: ": r"Access-Control-Allow-Origin: https://app.example.com",
    "/metrics": r'spork_http_requests_total{code="429",method="GET",route="few".*} 1.0',
    "spork plugins": r"circuit-breaker(?s:.)*rate-limit",
    "# 404": r"^HTTP/1.1 404 ",
    "# 405": r"^HTTP/1.1 405 (?s:.)*Allow: .*POST",
    "# 400": r"^HTTP/1.1 400 ",
    "/stream": r"(event: tick(?s:.)*){5}",
    "/drip": r"^\*{10}$",
    "/slow": r'"slept": 2.0',
    "demo ws": r"^hello$",
    "/status": r'"ready":true',
    "--show-config": r"^routes:",
}
"""What a line has in it → what it prints."""

SLOW = ("/stream", "/drip", "/slow")


@pytest.fixture(scope="module")
def printed() -> Iterator[list[str]]:
    """The lines of the running demo, the token's first."""
    demo = Process("demo", "--port", 0)
    lines = []
    for line in demo.output:
        lines.append(line.strip())
        if "--show-config" in line:
            break
    try:
        yield [line for line in lines if re.match("TOKEN=|curl |for |spork ", line)]
        assert demo.stop(signal.SIGTERM) == 0
    finally:
        demo.close()


def shell(token: str, line: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"{token}\n{line}"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PATH": path},
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout.replace("\r\n", "\n")


def said(line: str) -> list[str]:
    return [pattern for mark, pattern in SAYS.items() if mark in line]


def test_every_line_says_what_the_demo_promises(printed: list[str]) -> None:
    token, *lines = printed
    slow = [line for line in lines if any(mark in line for mark in SLOW)]
    with ThreadPoolExecutor() as pool:
        answers = dict(zip(slow, pool.map(lambda line: shell(token, line), slow), strict=True))
    answers |= {line: shell(token, line) for line in lines if line not in slow}

    assert len(lines) >= len(SAYS)
    for line, answer in answers.items():
        (pattern,) = said(line)
        assert re.search(pattern, answer, re.MULTILINE), f"{line}\n{answer}"


def test_every_plugin_of_the_demo_is_shown(printed: list[str]) -> None:
    told = "\n".join(printed)
    for name in ("jwt", "rate-limit", "cache", "retry", "circuit-breaker", "tracing", "cors", "metrics"):
        assert f"({name})" in told
