"""TLS of a listener: the certificate for the name asked for, renewed at any time."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from spork_core.config.fields import Secret
from spork_core.config.model import Certificate, ListenerTLS
from spork_core.server.tls import ListenerContext

Issue = Callable[..., Certificate]


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def issue(ca: trustme.CA, tmp_path: Path) -> Issue:
    """Writes a certificate for names to files; its file is called as the first name, or ``file``."""

    def issued(*names: str, file: str = "", ends: datetime | None = None) -> Certificate:
        made = ca.issue_cert(*names, not_after=ends)
        stem = (file or names[0]).replace("*", "any")
        certificate, key = tmp_path / f"{stem}.pem", tmp_path / f"{stem}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return Certificate(certificate, key)

    return issued


def presented(
    listener: ListenerContext, name: str | None, ca: trustme.CA, client: trustme.LeafCert | None = None
) -> str:
    """The first name of the certificate that a client which asks for ``name`` gets, by a handshake in memory."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    ca.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = context.wrap_bio(down, up, server_hostname=name), listener.context.wrap_bio(up, down, server_side=True)
    for end in (ends[0], ends[1], ends[0], ends[1]):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return str(dict(ends[0].getpeercert() or {})["subjectAltName"][0][1])


EXPIRED = datetime.now(UTC) - timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("a.example", "a.example"),
        ("A.EXAMPLE", "a.example"),
        ("second.example", "a.example"),
        ("b.example", "b.example"),
        ("x.wild.example", "*.wild.example"),
        ("y.x.wild.example", "a.example"),
        ("wild.example", "a.example"),
        ("unknown.example", "a.example"),
        ("localhost", "a.example"),
        (None, "a.example"),
    ],
)
def test_the_certificate_is_chosen_by_name(issue: Issue, ca: trustme.CA, name: str | None, got: str) -> None:
    certificates = issue("a.example", "second.example"), issue("b.example"), issue("*.wild.example")

    assert presented(ListenerContext(ListenerTLS(certificates)), name, ca) == got


@pytest.mark.parametrize("name", ["a.example.", "", "*.wild.example", ".", "\udcff"])
def test_no_name_is_too_strange(issue: Issue, name: str) -> None:
    assert isinstance(ListenerContext(ListenerTLS((issue("a.example"),))).for_name(name), ssl.SSLContext)


def test_the_first_of_two_for_one_name_is_presented(issue: Issue, ca: trustme.CA) -> None:
    certificates = issue("a.example"), issue("one", "x.b.example"), issue("*.b.example")

    assert presented(ListenerContext(ListenerTLS(certificates)), "x.b.example", ca) == "one"


def test_renewed_files_are_used_by_the_next_handshake(issue: Issue, ca: trustme.CA) -> None:
    config = ListenerTLS((issue("old.example", file="x"),))
    listener = ListenerContext(config)
    issue("new.example", file="x")
    assert presented(listener, "new.example", ca) == "old.example"

    listener.renew(config)
    assert presented(listener, "new.example", ca) == "new.example"


def test_a_renewal_that_fails_changes_nothing(issue: Issue, ca: trustme.CA, tmp_path: Path) -> None:
    config = ListenerTLS((issue("a.example"), issue("b.example")))
    listener = ListenerContext(config)
    (tmp_path / "b.example.pem").write_text("broken", encoding="utf-8")
    with pytest.raises((OSError, ssl.SSLError)):
        listener.renew(config)

    assert presented(listener, "b.example", ca) == "b.example"


def test_certificates_of_a_later_config_are_adopted(issue: Issue, ca: trustme.CA) -> None:
    listener = ListenerContext(ListenerTLS((issue("a.example"),)))

    listener.adopt(ListenerContext(ListenerTLS((issue("b.example"), issue("c.example")))))

    assert [presented(listener, name, ca) for name in ("c.example", "a.example")] == ["c.example", "b.example"]


def test_an_expired_certificate_is_still_presented_when_it_is_the_only_one(
    issue: Issue, caplog: pytest.LogCaptureFixture
) -> None:
    listener = ListenerContext(ListenerTLS((issue("a.example", ends=EXPIRED),)))

    assert isinstance(listener.for_name("a.example"), ssl.SSLContext)
    assert "certificate a.example.pem is presented only when no other fits" in caplog.text


def test_an_expired_certificate_gives_way_to_a_valid_one(issue: Issue, ca: trustme.CA) -> None:
    certificates = issue("a.example", ends=EXPIRED, file="old"), issue("*.example", file="new")

    assert presented(ListenerContext(ListenerTLS(certificates)), "a.example", ca) == "*.example"


def test_files_that_cannot_be_read_are_an_error(tmp_path: Path, issue: Issue) -> None:
    good = issue("a.example")
    for certificate in (Certificate(tmp_path / "none", good.key), Certificate(good.certificate, tmp_path / "none")):
        with pytest.raises(OSError, match="No such file"):
            ListenerContext(ListenerTLS((certificate,)))


def test_a_key_of_another_certificate_is_an_error(issue: Issue) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)mismatch"):
        ListenerContext(ListenerTLS((Certificate(issue("a.example").certificate, issue("b.example").key),)))


@pytest.mark.parametrize(("password", "works"), [("s3cret", True), ("wrong", False), (None, False)])
def test_an_encrypted_key_needs_its_password_and_asks_nobody(issue: Issue, password: str | None, works: bool) -> None:
    good = issue("a.example")
    key = load_pem_private_key(good.key.read_bytes(), None)
    locked = BestAvailableEncryption(b"s3cret")
    good.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    config = ListenerTLS((Certificate(good.certificate, good.key, Secret(password) if password else None),))
    try:
        ListenerContext(config)
    except (ssl.SSLError, ValueError):
        assert not works
    else:
        assert works


def test_a_client_needs_a_certificate_when_there_is_a_client_ca(issue: Issue, ca: trustme.CA, tmp_path: Path) -> None:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    listener = ListenerContext(ListenerTLS((issue("a.example"), issue("b.example")), client_ca=tmp_path / "ca.pem"))

    assert presented(listener, "b.example", ca, ca.issue_cert("client")) == "b.example"
    with pytest.raises(ssl.SSLError):
        presented(listener, "b.example", ca)


@pytest.mark.parametrize(("version", "oldest"), [("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)])
def test_the_oldest_version_is_the_configs(issue: Issue, version: str, oldest: ssl.TLSVersion) -> None:
    listener = ListenerContext(ListenerTLS((issue("a.example"),), min_version=version))  # type: ignore[arg-type]

    assert {listener.context.minimum_version, listener.for_name("a.example").minimum_version} == {oldest}


async def test_a_server_speaks_it(issue: Issue, ca: trustme.CA) -> None:
    listener = ListenerContext(ListenerTLS((issue("a.example"), issue("b.example"))))
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=listener.context)
    port = server.sockets[0].getsockname()[1]

    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="b.example")
    assert (await reader.read(), writer.get_extra_info("ssl_object").version()) == (b"", "TLSv1.3")
    writer.close()
    server.close()
