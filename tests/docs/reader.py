"""A reader who does what a page says: writes its files, types its commands, and looks at what they show."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.docs.blocks import Block, agrees, blocks
from tests.laws.environments import clean

PORTS: Final = ("8080", "8081", "9001", "9002")
"""Ports of this machine that pages name; each reader has others in their place."""
_PATIENCE: Final = 20.0
_PIP: Final = """\
#!/bin/sh
# Installs from folders only, with what the environment around has.
command=$1; shift
# Without isolation some versions of pip show what the build backend has to say; with it none does.
export PYTHONWARNINGS=ignore
exec {python} -m pip --python {inner} "$command" --no-index --no-deps --no-build-isolation \\
    --disable-pip-version-check --root-user-action ignore "$@"
"""


def environment(folder: Path) -> Path:
    """A virtual environment that has all that the running one has; what is installed into it stays in it."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    around = [path for path in sys.path if path.endswith("-packages")]
    (site / "around.pth").write_text(f"import site; list(map(site.addsitedir, {around!r}))\n")
    pip = folder / "bin" / "pip"
    pip.write_text(_PIP.format(python=sys.executable, inner=python))
    pip.chmod(0o755)
    for program in ("spork", "pytest"):
        script = folder / "bin" / program
        main = {"spork": "spork_core.cli:main", "pytest": "pytest:main"}[program]
        module, _, function = main.partition(":")
        script.write_text(f"#!{python}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        script.chmod(0o755)
    return folder


class Reader:
    """``home``: the folder in which it works. ``bin``: the folder with the programs of its environment. ``ports``: in
    the place of those that pages name, besides ``PORTS``."""

    def __init__(self, home: Path, bin: Path, ports: Mapping[str, str]) -> None:  # noqa: A002  what everybody calls it
        self.home = self.folder = home
        self._path = f"{bin}{os.pathsep}{os.environ['PATH']}"
        self._ports = {**dict(zip(PORTS, _free(len(PORTS)), strict=True)), **ports}
        self._running: list[subprocess.Popen[bytes]] = []
        self._module: list[str] = []

    def follows(self, page: Path) -> None:
        """Does all that stands on the page. Raises AssertionError with the line of the block that is not as it says."""
        for block in blocks(page):
            try:
                self._does(block)
            except AssertionError as error:
                raise AssertionError(f"{page.name}:{block.line}: {error}") from None
        if self._module:
            (self.home / "test_page.py").write_text("\n\n".join(self._module), encoding="utf-8")
            options = "-o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function -W error"
            done = self._run(f"pytest -q -p no:cacheprovider {options} test_page.py", self.home)
            assert done.returncode == 0, done.stdout

    def _does(self, block: Block) -> None:
        text = self._moved(block.text)
        match block.mark or block.language:
            case "write":
                file = self._file(block.of)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
                if re.search(r"^routes:", text, re.MULTILINE):
                    done = self._run(f"spork check {block.of}")
                    assert done.returncode == 0, done.stdout
            case "add":
                path, _, behind = block.of.partition(" after ")
                self._add(self._file(path), behind, text)
            case "shows":
                there = self._file(block.of).read_text(encoding="utf-8")
                assert text in there, f"{block.of} does not have it; it is\n{there}"
            case "stays":
                ((command, shown),) = block.commands()
                self._begin(self._moved(command), self._moved(shown))
            case "console" | "fails":
                self._types(block)
            case "python":
                self._module.append(text)

    def _types(self, block: Block) -> None:
        commands = list(block.commands())
        for at, (command, shown) in enumerate(commands):
            done = self._run(self._moved(command))
            wanted_to_fail = block.mark == "fails" and at == len(commands) - 1
            assert (done.returncode != 0) is wanted_to_fail, f"$ {command}: exit code {done.returncode}\n{done.stdout}"
            assert agrees(done.stdout, self._moved(shown)), f"$ {command} shows\n{done.stdout}\nnot\n{shown}"

    def _run(self, command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        where = self.home / ".where"
        done = subprocess.run(
            ["sh", "-c", f'{command}\ncode=$?\npwd > "{where}"\nexit $code'],
            cwd=folder or self.folder,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        self.folder = Path(where.read_text(encoding="utf-8").strip())
        return done

    def _begin(self, command: str, shown: str) -> None:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a pipe is several processes, and all of them end
        )
        self._running.append(process)
        assert process.stdout is not None
        said, until = "", time.monotonic() + _PATIENCE
        while not agrees(said, shown):
            readable, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
            assert readable, f"$ {command} shows\n{said}\nnot\n{shown}"
            piece = os.read(process.stdout.fileno(), 65536).decode()
            assert piece, f"$ {command} ended, and showed\n{said}"
            said += piece

    def close(self) -> None:
        """Ends what still runs."""
        for process in self._running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._running:
            process.wait(_PATIENCE)
            assert process.stdout is not None
            process.stdout.close()

    def _environ(self) -> dict[str, str]:
        return {**clean(), "PATH": self._path, "PYTHONUNBUFFERED": "1", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}

    def _file(self, path: str) -> Path:
        return self.folder / path

    def _moved(self, text: str) -> str:
        for shown, real in self._ports.items():
            text = re.sub(rf"(?<![\w.]){shown}(?!\w)", real, text)
        return text

    def _add(self, file: Path, behind: str, text: str) -> None:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        (at,) = (number for number, line in enumerate(lines, 1) if line.startswith(behind))
        lines.insert(at, text)
        file.write_text("".join(lines), encoding="utf-8")


def _free(count: int) -> Iterator[str]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    for one in sockets:
        yield str(one.getsockname()[1])
    for one in sockets:
        one.close()


@contextmanager
def reader(home: Path, bin: Path, ports: Mapping[str, str]) -> Iterator[Reader]:  # noqa: A002  as above
    """A reader of one page; what it starts ends with the block."""
    one = Reader(home, bin, ports)
    try:
        yield one
    finally:
        one.close()
