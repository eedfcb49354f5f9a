"""wrk: load on a proxy for some seconds, and what came of it."""

import http.client
import re
import subprocess
import time
from typing import Final

from attrs import frozen

from benchmarks import peers
from benchmarks.bearer import token
from benchmarks.options import HERE
from benchmarks.processes import Running, cores, pinned

HEADERS: Final = {
    "Authorization": f"Bearer {token()}",
    "Origin": "https://app.example.com",
    "User-Agent": "Mozilla/5.0 bench",
    "Accept": "application/json",
}
_MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@frozen
class Sample:
    """One measurement. ``user_us`` and ``system_us``: CPU of the proxy for one request. ``errors``: requests without a
    good answer, time-outs (2 s) not among them."""

    rate: float
    requests: int
    user_us: float
    system_us: float
    p50_ms: float
    p99_ms: float
    rss_mib: float
    errors: int
    timeouts: int

    @property
    def cpu_us(self) -> float:
        """CPU of the proxy for one request, all in all."""
        return self.user_us + self.system_us


@frozen
class Said:
    """What wrk prints."""

    rate: float
    requests: int
    p50_ms: float
    p99_ms: float
    errors: int
    timeouts: int


def parse(text: str) -> Said:
    """Reads wrk's output. Raises RuntimeError when it is none."""

    def number(pattern: str) -> float:
        found = re.search(pattern, text)
        return float(found[1]) if found else 0.0

    def latency(percent: int) -> float:
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"wrk says no {percent}% latency: {text.strip()[-400:]}")
        return float(found[1]) * _MILLISECONDS[found[2]]

    if "Requests/sec:" not in text:
        raise RuntimeError(f"wrk failed: {text.strip()[-400:] or 'it says nothing'}")
    errors = sum(number(rf"Socket errors:.*{what} (\d+)") for what in ("connect", "read", "write"))
    return Said(
        rate=number(r"Requests/sec:\s+([\d.]+)"),
        requests=int(number(r"(\d+) requests in ")),
        p50_ms=latency(50),
        p99_ms=latency(99),
        errors=int(errors + number(r"Non-2xx or 3xx responses: (\d+)")),
        timeouts=int(number(r"Socket errors:.*timeout (\d+)")),
    )


def wrk(port: int, path: str, connections: int, seconds: float, again: int | None = None) -> Said:
    """Loads 127.0.0.1:``port`` from wrk's core. ``seconds``: whole ones, at least 1. ``again``: None: one request that
    repeats; else each has a number at the end of its path, and after so many they come again (0: never, and another
    field differs too). Raises Missing."""
    fields = [argument for name, value in HEADERS.items() for argument in ("-H", f"{name}: {value}")]
    command = [*pinned(cores()[1]), peers.tool("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--latency", *fields]
    url = f"http://127.0.0.1:{port}{path}"
    if again is None:
        command.append(url)
    else:
        command += ["-s", str(HERE / "varied.lua"), url, "--", path, str(again)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse(done.stdout + done.stderr if done.returncode else done.stdout)


def sample(running: Running, path: str, connections: int, seconds: float, again: int | None = None) -> Sample:
    """Warms the proxy up for a second, then measures it. ``again``: as for ``wrk``. Raises Missing, and RuntimeError
    when it has a store and did not find in it what a request needs."""
    wrk(running.port, path, connections, 1, again)
    found = 0 if running.store is None else running.store.found()
    user, system = running.cpu()
    said = wrk(running.port, path, connections, seconds, again)
    later_user, later_system = running.cpu()
    count = max(1, said.requests)
    if running.store is not None and (hits := running.store.found() - found) < said.requests:
        raise RuntimeError(f"the store was asked with success {hits:,} times in {said.requests:,} requests")
    return Sample(
        rate=said.rate,
        requests=said.requests,
        user_us=1e6 * (later_user - user) / count,
        system_us=1e6 * (later_system - system) / count,
        p50_ms=said.p50_ms,
        p99_ms=said.p99_ms,
        rss_mib=running.rss(),
        errors=said.errors,
        timeouts=said.timeouts,
    )


def refuses(port: int, path: str) -> bool:
    """Whether a request whose token has a signature of another is answered 401."""
    forged = HEADERS["Authorization"][:-6] + "forged"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={**HEADERS, "Authorization": forged})
        return connection.getresponse().status == 401
    finally:
        connection.close()


def probe(port: int, path: str) -> tuple[dict[str, str], bytes]:
    """One request: the answer's fields by lower-case name, and its content. Raises RuntimeError unless it is a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(20):
        try:
            connection.request("GET", path, headers=HEADERS)
            answer = connection.getresponse()
            content = answer.read()
        except OSError:  # the port is open and the routes are still being made
            connection.close()
            time.sleep(0.1)
            continue
        if answer.status != 200:
            time.sleep(0.1)
            continue
        connection.close()
        return {name.lower(): value for name, value in answer.getheaders()}, content
    raise RuntimeError(f"the proxy on port {port} does not answer {path} with 200")
