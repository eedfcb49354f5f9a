"""TLS on the listener: certificates by name, client certificates, versions, renewal without a restart."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trustme

from spork_core.config.model import Address, Certificate, ClientTimeouts, Listener, ListenerTLS
from spork_core.errors import ConfigError
from tests.wire.conftest import GET, Running, gateway, upstream

CA = trustme.CA()


def certificate(folder: Path, *names: str, ca: trustme.CA = CA) -> Certificate:
    """A certificate for ``names`` in files, which a second call replaces."""
    leaf = ca.issue_cert(*names)
    stem = names[0].replace("*", "any")
    paths = folder / f"{stem}.pem", folder / f"{stem}.key"
    leaf.cert_chain_pems[0].write_to_path(paths[0])
    leaf.private_key_pem.write_to_path(paths[1])
    return Certificate(*paths)


def listen(*certificates: Certificate, **more: object) -> tuple[Listener, ...]:
    return (Listener(Address("127.0.0.1", 0), ListenerTLS(certificates, **more)),)  # type: ignore[arg-type]


@asynccontextmanager
async def secure(*certificates: Certificate, **more: object) -> AsyncIterator[Running]:
    async with upstream() as backend, gateway(backend, listen=listen(*certificates, **more)) as gate:
        yield gate


def client(ca: trustme.CA = CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def ask(gate: Running, name: str | None, context: ssl.SSLContext | None = None) -> tuple[list[str], bytes]:
    """The names in the certificate that a client asking for ``name`` is shown, and the status line it gets."""
    context = context or client()
    if name is None:
        context.check_hostname = False
    reader, writer = await asyncio.open_connection(*gate.address, ssl=context, server_hostname=name or "")
    try:
        peer = writer.get_extra_info("peercert") or {}
        writer.write(GET)
        line = await asyncio.wait_for(reader.readline(), 5)
        return [value for _, value in peer.get("subjectAltName", ())], line
    finally:
        writer.transport.abort()


async def test_the_certificate_is_chosen_by_name(tmp_path: Path) -> None:
    names = ["a.test", "b.test", "*.c.test"]
    async with secure(*(certificate(tmp_path, name) for name in names)) as gate:
        for asked, shown in {"a.test": 0, "b.test": 1, "B.TEST": 1, "x.c.test": 2}.items():
            assert await ask(gate, asked) == ([names[shown]], b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("name", ["unknown.test", "y.x.c.test", "c.test", None])
async def test_any_other_name_is_shown_the_first(tmp_path: Path, name: str | None) -> None:
    async with secure(certificate(tmp_path, "a.test"), certificate(tmp_path, "*.c.test")) as gate:
        context = client()
        context.check_hostname = False
        assert (await ask(gate, name, context))[0] == ["a.test"]


async def test_the_upstream_learns_that_it_was_https(tmp_path: Path) -> None:
    async with upstream() as backend, gateway(backend, listen=listen(certificate(tmp_path, "a.test"))) as gate:
        await ask(gate, "a.test")
    assert b"\r\nX-Forwarded-Proto: https\r\n" in backend.received


async def test_only_http_1_1_is_offered(tmp_path: Path) -> None:
    async with secure(certificate(tmp_path, "a.test")) as gate:
        context = client()
        context.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection(*gate.address, ssl=context, server_hostname="a.test")
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.transport.abort()


@pytest.mark.parametrize(("least", "fine"), [("1.2", True), ("1.3", False)])
async def test_old_versions_are_refused(tmp_path: Path, least: str, fine: bool) -> None:
    context = client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with secure(certificate(tmp_path, "a.test"), min_version=least) as gate:
        assert await refused(gate, "a.test", context) is not fine


async def refused(gate: Running, name: str | None, context: ssl.SSLContext) -> bool:
    """True when no answer comes: in TLS 1.3 the server's alert may come after the client's end of the handshake."""
    try:
        return (await ask(gate, name, context))[1] == b""
    except (ssl.SSLError, ConnectionError):
        return True


# -- client certificates ------------------------------------------------------------------------------


def with_certificate(issuer: trustme.CA) -> ssl.SSLContext:
    context = client()
    issuer.issue_cert("client.test").configure_cert(context)
    return context


@pytest.fixture
def client_ca(tmp_path: Path) -> Path:
    CA.cert_pem.write_to_path(tmp_path / "clients.pem")
    return tmp_path / "clients.pem"


@pytest.mark.parametrize("sni", ["a.test", "b.test", None])
async def test_a_client_certificate_is_required_by_any_name(tmp_path: Path, client_ca: Path, sni: str | None) -> None:
    certificates = [certificate(tmp_path, name) for name in ("a.test", "b.test")]
    async with secure(*certificates, client_ca=client_ca) as gate:
        assert (await ask(gate, sni, with_certificate(CA)))[1] == b"HTTP/1.1 200 OK\r\n"
        assert await refused(gate, sni, client())
        assert await refused(gate, sni, with_certificate(trustme.CA()))


# -- renewal ------------------------------------------------------------------------------------------


async def renew(gate: Running, *certificates: Certificate, **more: object) -> None:
    await gate.gateway.reload(attrs.evolve(gate.gateway.config, listen=listen(*certificates, **more)))


async def serial(gate: Running) -> str:
    _, writer = await asyncio.open_connection(*gate.address, ssl=client(), server_hostname="a.test")
    writer.transport.abort()
    return str(writer.get_extra_info("peercert")["serialNumber"])


async def test_a_reload_reads_the_files_again(tmp_path: Path) -> None:
    async with secure(certificate(tmp_path, "a.test")) as gate:
        old = await serial(gate)
        assert await serial(gate) == old
        replaced = certificate(tmp_path, "a.test")
        assert await serial(gate) == old
        await renew(gate, replaced)
        assert await serial(gate) != old


async def test_a_reload_takes_other_certificates_over(tmp_path: Path) -> None:
    async with secure(certificate(tmp_path, "a.test")) as gate:
        await renew(gate, certificate(tmp_path, "b.test"), certificate(tmp_path, "c.test"))
        assert [(await ask(gate, name))[0] for name in ("b.test", "c.test")] == [["b.test"], ["c.test"]]


async def test_a_reload_refuses_other_rules(tmp_path: Path, client_ca: Path) -> None:
    mine = certificate(tmp_path, "a.test")
    async with secure(mine) as gate:
        for change in ({"min_version": "1.3"}, {"client_ca": client_ca}):
            with pytest.raises(ConfigError, match=r"\$\.listen"):
                await renew(gate, mine, **change)


async def test_a_reload_takes_other_authorities_over(tmp_path: Path, client_ca: Path) -> None:
    mine, other = certificate(tmp_path, "a.test"), trustme.CA()
    async with secure(mine, client_ca=client_ca) as gate:
        other.cert_pem.write_to_path(client_ca)
        await renew(gate, mine, client_ca=client_ca)
        assert (await ask(gate, "a.test", with_certificate(other)))[1] == b"HTTP/1.1 200 OK\r\n"
        assert await refused(gate, "a.test", with_certificate(CA))


async def test_a_bad_file_leaves_the_old_certificate(tmp_path: Path) -> None:
    mine = certificate(tmp_path, "a.test")
    async with secure(mine) as gate:
        old = await serial(gate)
        mine.certificate.write_text("nonsense")
        with pytest.raises(ConfigError, match=r"\$\.listen\[0\]\.tls"):
            await renew(gate, mine)
        assert await serial(gate) == old


async def test_a_bad_file_at_the_start_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TLS files cannot be used"):
        async with secure(Certificate(tmp_path / "none.pem", tmp_path / "none.key")):
            pass


# -- the wrong language -------------------------------------------------------------------------------


async def test_plain_http_on_the_tls_port_is_cut_off(tmp_path: Path) -> None:
    async with secure(certificate(tmp_path, "a.test")) as gate:
        reader, writer = await asyncio.open_connection(*gate.address)
        writer.write(GET)
        assert b"HTTP" not in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert (await ask(gate, "a.test"))[1] == b"HTTP/1.1 200 OK\r\n"


async def test_tls_on_the_plain_port_is_refused() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        with pytest.raises(ssl.SSLError):
            await ask(gate, "a.test")
        assert backend.received == b""


async def test_a_handshake_that_stops_is_cut_off(tmp_path: Path) -> None:
    listener = listen(certificate(tmp_path, "a.test"))
    timeouts = ClientTimeouts(tls_handshake=0.1)
    async with upstream() as backend, gateway(backend, listen=listener, timeouts=timeouts) as gate:
        with socket.create_connection(gate.address) as sock:
            sock.setblocking(False)
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1), 5) == b""
