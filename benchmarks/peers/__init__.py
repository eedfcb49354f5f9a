"""The peers: the same work as Spork's configs, in their own configurations, which lie beside this file."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from benchmarks.bearer import KEY
from benchmarks.options import Missing, root

HERE: Final = Path(__file__).resolve().parent
BARE: Final = "bare reverse proxy"


@frozen
class Peer:
    """``program``: the binary. ``arguments`` and ``files`` are filled in with ports and directories; the first of
    ``files`` is what the program is started with. ``version``: the arguments that make it say its version.
    ``guarded``: it refuses a wrong token."""

    program: str
    files: tuple[str, ...]
    arguments: tuple[str, ...]
    version: tuple[str, ...]
    work: str = BARE
    guarded: bool = False


_ENVOY: Final = ("-c", "@CONFIG@", "--concurrency", "1", "--log-level", "error", "--disable-hot-restart")
_TRAEFIK: Final = ("--configFile=@CONFIG@",)
PEERS: Final = {
    "nginx": Peer("nginx", ("nginx.conf",), ("-e", "@RUN@/nginx.err", "-c", "@CONFIG@"), ("-v",)),
    "haproxy": Peer("haproxy", ("haproxy.cfg",), ("-f", "@CONFIG@"), ("-v",)),
    "envoy": Peer("envoy", ("envoy.yaml",), _ENVOY, ("--version",)),
    "traefik": Peer("traefik", ("traefik.yaml", "traefik_dynamic.yaml"), _TRAEFIK, ("version",)),
    "caddy": Peer("caddy", ("Caddyfile",), ("run", "--config", "@CONFIG@", "--adapter", "caddyfile"), ("version",)),
    "envoy-full": Peer(
        "envoy",
        ("envoy_full.yaml",),
        _ENVOY,
        ("--version",),
        "cors, jwt, rate limit, request id, 5 headers, log, retry, outliers, stats",
        guarded=True,
    ),
    "traefik-full": Peer(
        "traefik",
        ("traefik_full.yaml", "traefik_full_dynamic.yaml"),
        _TRAEFIK,
        ("version",),
        "rate limit, 5 headers and cors, breaker, retry, log, metrics",
    ),
}
BACKEND: Final = Peer("nginx", ("backend.conf",), ("-e", "@RUN@/backend.err", "-c", "@CONFIG@"), ("-v",))
NAMES: Final = ("nginx", "haproxy", "envoy", "traefik", "caddy")
"""What ``--peers`` may name; the ``-full`` ones come with theirs."""


def tool(program: str) -> str:
    """The path of a program: among the peers that `prep` set up, else installed. Raises Missing."""
    # Debian keeps nginx and haproxy where only root's PATH looks.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    found = shutil.which(program, path=str(root() / "peers" / "bin")) or shutil.which(program, path=path)
    if found is None:
        raise Missing(f"{program} is not installed; run benchmarks/peers/prep")
    return found


def command(peer: Peer, values: Mapping[str, object]) -> list[str]:
    """Writes the peer's files, filled in, to the directory ``values["RUN"]``; how to start it. Raises Missing."""
    program = tool(peer.program)
    run = Path(str(values["RUN"]))
    known = {**values, "CONFIG": run / peer.files[0], "KEY": KEY}
    for name in peer.files:
        (run / name).write_text(_fill(Path(HERE, name).read_text(encoding="utf-8"), known), encoding="utf-8")
    return [program, *(_fill(argument, known) for argument in peer.arguments)]


def _fill(text: str, values: Mapping[str, object]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: str(values[match[1]]), text)


def version(program: str, *arguments: str) -> str:
    """What a program says of its version; "not installed"."""
    try:
        done = subprocess.run([tool(program), *arguments], capture_output=True, text=True, timeout=20, check=False)
    except Missing:
        return "not installed"
    found = re.search(r"(?<![\w.])v?(\d+\.\d+(?:\.\d+)?)", done.stdout + done.stderr)
    return found[1] if found else "unknown"
