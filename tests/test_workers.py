"""The life of the process: start, signals, reload, workers that die, the end; each in a process of its own."""

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from spork_core.workers import set_up_logging, signal_reload, usable_cpus
from spork_core.workers.supervisor import Slot
from tests.processes import MOST, PROGRAM, Client, Files, backend, gateway_process, get, refused


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


both = pytest.mark.parametrize("workers", [1, 2])


async def status(url: str) -> dict[str, object]:
    return dict(json.loads((await get(url, "/status"))[2]))


# -- the end --------------------------------------------------------------------------------------------


@both
async def test_sigterm_lets_what_runs_end(files: Files, workers: int) -> None:
    async with backend() as upstream:
        files.write(workers, upstream.url)
        async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
            await gateway.ready()
            assert files.pid == gateway.pid
            client = await Client.to(gateway.listening[0])
            await client.send("/slow")
            await upstream.asked.wait()
            idle = await Client.to(gateway.listening[0])
            assert (await idle.get("/"))[0] == 200

            gateway.signal(signal.SIGTERM)
            assert await idle.ended()
            await refused(gateway.listening[0])
            upstream.let_go.set()

            assert (await client.answer())[::2] == (200, "ok")
            client.close()
            idle.close()
            assert await gateway.ended() == 0
            assert not files.pidfile.exists()


async def test_readiness_goes_first(files: Files) -> None:
    async with backend() as upstream:
        files.write(1, upstream.url)
        async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
            await gateway.ready()
            client, probe = await Client.to(gateway.listening[0]), await Client.to(gateway.admin)
            await client.send("/slow")
            await upstream.asked.wait()
            assert (await probe.get("/readyz"))[0] == 200

            gateway.signal(signal.SIGTERM)
            while (await probe.get("/readyz"))[0] == 200:
                pass

            assert (await probe.get("/readyz"))[0] == 503
            assert (await probe.get("/livez"))[0] == 200
            client.close()
            probe.close()


@both
async def test_what_outlasts_the_grace_is_cut(files: Files, workers: int) -> None:
    async with backend() as upstream:
        files.write(workers, upstream.url, drain="50ms")
        async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
            await gateway.ready()
            client = await Client.to(gateway.listening[0])
            await client.send("/slow")
            await upstream.asked.wait()

            gateway.signal(signal.SIGTERM)

            assert await client.ended()
            assert await gateway.ended() == 0
            client.close()


@both
async def test_being_told_again_ends_it_at_once(files: Files, workers: int) -> None:
    async with backend() as upstream:
        files.write(workers, upstream.url, drain="1h")
        async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
            await gateway.ready()
            client = await Client.to(gateway.listening[0])
            await client.send("/slow")
            await upstream.asked.wait()

            ended = asyncio.create_task(client.ended())
            while not ended.done():
                gateway.signal(signal.SIGINT)
                await asyncio.wait((ended,), timeout=0.1)

            assert await gateway.ended() == 0
            client.close()


# -- reload ---------------------------------------------------------------------------------------------


@both
async def test_sighup_reloads_every_worker(files: Files, workers: int) -> None:
    files.write(workers)
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()
        assert (await get(gateway.listening[0], "/"))[0] == 502

        files.write(workers, more="errors: {type_base: https://example.com/}")
        await asyncio.to_thread(signal_reload, files.pidfile)
        lines = [await gateway.line("reloaded: ") for _ in range(workers)]

        assert len({line.split("[")[1].split("]")[0] for line in lines}) == workers
        assert "example.com" in (await get(gateway.listening[0], "/"))[2]


@both
async def test_the_admin_listener_reloads_every_worker(files: Files, workers: int) -> None:
    files.write(workers)
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()

        assert (await get(gateway.admin, "/reload", "POST"))[0] == 202

        for _ in range(workers):
            await gateway.line("reloaded: ")


@both
async def test_a_bad_config_changes_nothing_and_all_that_is_wrong_is_said(files: Files, workers: int) -> None:
    files.write(workers)
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()

        files.write(workers, more="limts: {}\nchain: [nobody]")
        gateway.signal(signal.SIGHUP)
        await gateway.line("reload refused", "2 problems")
        await gateway.line("$.limts")
        await gateway.line("$.chain[0]")

        while not (await status(gateway.admin))["reload_failures"]:
            pass
        assert (await get(gateway.listening[0], "/"))[0] == 502


@both
async def test_what_cannot_start_is_not_taken(files: Files, workers: int) -> None:
    files.write(workers)
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()

        files.write(workers, listen="127.0.0.1:1")
        gateway.signal(signal.SIGHUP)

        await gateway.line("reload refused")
        await gateway.line("$.listen: a reload cannot move the listeners")


# -- workers --------------------------------------------------------------------------------------------


async def test_a_worker_that_dies_is_replaced(files: Files) -> None:
    async with backend() as upstream:
        files.write(2, upstream.url)
        async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
            await gateway.ready()
            victim = await status(gateway.admin)

            os.kill(int(str(victim["pid"])), signal.SIGKILL)
            await gateway.line(
                f"worker {victim['worker']} (pid {victim['pid']}) ended: killed by SIGKILL; the next in 0.1"
            )
            await gateway.line(f"worker {victim['worker']} started")

            assert (await get(gateway.listening[0], "/"))[0] == 200
            assert (await status(gateway.admin))["pid"] != victim["pid"]


async def test_workers_that_never_get_ready_end_it(files: Files) -> None:
    files.write(2, more="plugins: {doomed: {code: 7}}\nchain: [doomed]")
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.line("giving up", "died during start-up 3 times in a row, last: exit code 7")

        assert await gateway.ended() == 1


async def test_a_replaced_worker_runs_on_the_config_of_the_others(files: Files) -> None:
    files.write(2)
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()
        files.write(2, more="this is no config")

        os.kill(int(str((await status(gateway.admin))["pid"])), signal.SIGTERM)
        await gateway.line("ended: exit code 0; the next in")
        started = await gateway.line("started, pid")

        while (await status(gateway.admin))["pid"] != int(started.split()[-1]):
            pass
        assert (await get(gateway.listening[0], "/"))[0] == 502


async def test_no_worker_outlives_its_supervisor(files: Files) -> None:
    async with backend() as upstream:
        files.write(2, upstream.url)
        async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
            await gateway.ready()
            client = await Client.to(gateway.listening[0])
            await client.send("/slow")
            await upstream.asked.wait()

            gateway.signal(signal.SIGKILL)
            await gateway.line("the supervisor is gone")
            upstream.let_go.set()

            assert (await client.answer())[0] == 200
            client.close()
            assert await gateway.ended() == -signal.SIGKILL


async def test_a_worker_that_hangs_is_killed(files: Files) -> None:
    files.write(2, more="plugins: {doomed: {shutdown: true}}\nchain: [doomed]")
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()

        ended = asyncio.create_task(gateway.ended())
        while not ended.done():
            gateway.signal(signal.SIGTERM)
            await asyncio.wait((ended,), timeout=0.1)

        assert await ended == 0
        assert sum("killing worker" in line for line in gateway.said) == 2


def test_back_off_doubles_and_forgets_after_a_long_life() -> None:
    slot = Slot(0)

    delays = [slot.died(now=1.0) for _ in range(12)]

    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 30.0
    slot.born = 100.0
    assert slot.died(now=160.0) == 0.1


# -- sockets and the service manager --------------------------------------------------------------------


async def test_a_unix_socket_outlives_a_worker_and_not_the_gateway(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "s"
    files.write(2, listen=f"unix:{path}")
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()
        os.kill(int(str((await status(gateway.admin))["pid"])), signal.SIGTERM)
        await gateway.line("ended: exit code 0; the next in")

        assert (await get(gateway.listening[0], "/"))[0] == 502

        gateway.signal(signal.SIGTERM)
        assert await gateway.ended() == 0
        assert not path.exists()


@both
async def test_passed_sockets_are_served(files: Files, workers: int) -> None:
    files.write(workers, listen="127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        number = sock.fileno()
        async with gateway_process(PROGRAM, files.config, files.pidfile, number, pass_fds=(number,)) as gateway:
            await gateway.ready()

            assert gateway.listening == [f"http://127.0.0.1:{sock.getsockname()[1]}"]
            assert (await get(gateway.listening[0], "/"))[0] == 502


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "n"))
        sock.setblocking(False)
        yield sock


@both
async def test_the_service_manager_is_told(files: Files, manager: socket.socket, workers: int) -> None:
    async def told() -> str:
        async with asyncio.timeout(MOST):
            return (await asyncio.get_running_loop().sock_recv(manager, 1024)).decode().split("\n")[0]

    files.write(workers)
    environ = {"NOTIFY_SOCKET": manager.getsockname()}
    async with gateway_process(PROGRAM, files.config, files.pidfile, environ=environ) as gateway:
        assert await told() == "READY=1"
        gateway.signal(signal.SIGHUP)
        assert await told() == "RELOADING=1"
        assert await told() == "READY=1"
        gateway.signal(signal.SIGTERM)
        assert await told() == "STOPPING=1"


# -- small things ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "nobody", "-1", "0", "²"])
def test_a_pidfile_without_a_pid(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text)

    with pytest.raises(ValueError, match="does not hold a process id"):
        signal_reload(tmp_path / "p")


async def test_a_pidfile_that_cannot_be_written_shows_before_anything_is_served(files: Files, tmp_path: Path) -> None:
    files.write(2)
    async with gateway_process(PROGRAM, files.config, tmp_path / "nowhere" / "pid") as gateway:
        assert await gateway.ended() == 1

        assert gateway.said[-1].startswith("FileNotFoundError: ")
        assert not any(line.startswith("listening on ") or "started" in line for line in gateway.said)


def test_at_least_one_cpu_is_usable() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


def test_logging_that_is_set_up_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    mine = logging.NullHandler()
    monkeypatch.setattr(root, "handlers", [mine])
    monkeypatch.setattr(root, "level", root.level)

    set_up_logging("ERROR")

    assert root.handlers == [mine]
    assert root.level == logging.ERROR
