"""TLS to an upstream: verified unless told otherwise, with its own authorities, names and client certificates."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from spork_core.config.model import EndpointConfig, ServiceConfig, UpstreamTLS
from tests.wire.conftest import GET, OK, gateway, holds


class Backend:
    """A TLS server that keeps what clients named and presented."""

    def __init__(self) -> None:
        self.port = 0
        self.names: list[str | None] = []
        self.alpn: list[str | None] = []
        self.subjects: list[object] = []
        self.connections = self.serving = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving += 1
        session = writer.get_extra_info("ssl_object")
        self.alpn.append(session.selected_alpn_protocol())
        self.subjects.append((session.getpeercert() or {}).get("subjectAltName"))
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            self.serving -= 1


@asynccontextmanager
async def tls_backend(certificate: trustme.LeafCert, client_ca: trustme.CA | None = None) -> AsyncIterator[Backend]:
    backend = Backend()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    certificate.configure_cert(context)
    context.sni_callback = lambda _, name, __: backend.names.append(name)
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0, ssl=context)
    backend.port = server.sockets[0].getsockname()[1]
    try:
        yield backend
    finally:
        await holds(lambda: not backend.serving)
        server.close()


def at(backend: Backend, tls: UpstreamTLS, host: str = "localhost") -> dict[str, ServiceConfig]:
    return {"up": ServiceConfig((EndpointConfig(f"https://{host}:{backend.port}"),), tls=tls)}


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


async def test_one_handshake_serves_many_requests(ca: trustme.CA, ca_file: Path) -> None:
    async with (
        tls_backend(ca.issue_cert("localhost")) as backend,
        gateway(services=at(backend, UpstreamTLS(ca=ca_file))) as gate,
    ):
        assert [(await gate.ask(GET)).status for _ in range(3)] == [200] * 3
        assert (backend.connections, backend.names, backend.alpn) == (1, ["localhost"], ["http/1.1"])


async def test_a_certificate_that_nobody_vouches_for_is_502(ca: trustme.CA) -> None:
    async with (
        tls_backend(ca.issue_cert("localhost")) as backend,
        gateway(services=at(backend, UpstreamTLS())) as gate,
    ):
        message = await gate.ask(GET)
        assert (message.status, b'"upstream-connect-failed"' in message.body) == (502, True)
        assert b"ertificate" not in message.body
        assert backend.connections == 0


async def test_a_certificate_of_another_name_is_502(ca: trustme.CA, ca_file: Path) -> None:
    async with (
        tls_backend(ca.issue_cert("other.test")) as backend,
        gateway(services=at(backend, UpstreamTLS(ca=ca_file))) as gate,
    ):
        assert (await gate.ask(GET)).status == 502


async def test_verification_can_be_switched_off() -> None:
    async with (
        tls_backend(trustme.CA().issue_cert("other.test")) as backend,
        gateway(services=at(backend, UpstreamTLS(verify=False))) as gate,
    ):
        assert (await gate.ask(GET)).status == 200
        assert backend.names == ["localhost"]


async def test_the_name_to_ask_for_and_to_verify_can_be_set(ca: trustme.CA, ca_file: Path) -> None:
    async with tls_backend(ca.issue_cert("other.test")) as backend:
        services = at(backend, UpstreamTLS(ca=ca_file, server_name="other.test"), "127.0.0.1")
        async with gateway(services=services) as gate:
            assert (await gate.ask(GET)).status == 200
        assert backend.names == ["other.test"]


async def test_an_address_is_verified_too(ca: trustme.CA, ca_file: Path) -> None:
    for names, status in ((["127.0.0.1"], 200), (["127.0.0.2"], 502)):
        async with (
            tls_backend(ca.issue_cert(*names)) as backend,
            gateway(services=at(backend, UpstreamTLS(ca=ca_file), "127.0.0.1")) as gate,
        ):
            assert (await gate.ask(GET)).status == status


async def test_a_client_certificate_is_presented(ca: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    mine = ca.issue_cert("gateway.test")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "mine.pem")
    async with (
        tls_backend(ca.issue_cert("localhost"), ca) as backend,
        gateway(services=at(backend, UpstreamTLS(ca=ca_file, certificate=tmp_path / "mine.pem"))) as gate,
    ):
        assert (await gate.ask(GET)).status == 200
        assert backend.subjects == [(("DNS", "gateway.test"),)]


async def test_without_the_client_certificate_it_is_502(ca: trustme.CA, ca_file: Path) -> None:
    async with (
        tls_backend(ca.issue_cert("localhost"), ca) as backend,
        gateway(services=at(backend, UpstreamTLS(ca=ca_file))) as gate,
    ):
        assert (await gate.ask(GET)).status == 502


async def test_an_upstream_without_tls_is_502() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    backend = Backend()
    backend.port = server.sockets[0].getsockname()[1]
    async with gateway(services=at(backend, UpstreamTLS(verify=False))) as gate:
        assert (await gate.ask(GET)).status == 502
    server.close()


async def test_a_body_that_ends_without_a_goodbye_is_cut_not_complete(ca: trustme.CA, ca_file: Path) -> None:
    """A close-delimited body over TLS must end with close_notify; a bare end of the connection may be an attacker's."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
        await writer.drain()
        writer.transport.abort()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(cut, "127.0.0.1", 0, ssl=context)
    backend = Backend()
    backend.port = server.sockets[0].getsockname()[1]
    async with gateway(services=at(backend, UpstreamTLS(ca=ca_file))) as gate:
        client = await gate.client()
        await client.send(GET)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.message()
    server.close()
