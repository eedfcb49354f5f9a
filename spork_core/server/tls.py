"""TLS of a listener: one context that clients meet; it picks the certificate by name and can be renewed."""

import logging
import ssl
from pathlib import Path
from typing import Any

from attrs import evolve

from spork_core.config.model import Certificate, ListenerTLS

log = logging.getLogger("spork_core.server")


class ListenerContext:
    """The ``ssl`` argument of a listener (``context``), and the certificates behind it, replaceable at any time."""

    def __init__(self, config: ListenerTLS) -> None:
        """Reads the files. Raises OSError and ssl.SSLError."""
        self._chosen: list[tuple[tuple[str, ...], ssl.SSLContext]] = []
        self.renew(config)
        self.context = _context(config, config.certificates[0])
        self.context.sni_callback = self._choose

    def renew(self, config: ListenerTLS) -> None:
        """Reads the files again, for handshakes from now on. Raises OSError and ssl.SSLError; then nothing changes."""
        chosen = []
        for certificate in config.certificates:
            # Names are read through a context without client certificates, which the handshake in memory has none of.
            plain = _context(evolve(config, client_ca=None), certificate)
            chosen.append((_names(certificate.certificate, plain), _context(config, certificate)))
        self._chosen = chosen

    def adopt(self, other: "ListenerContext") -> None:
        """Uses the certificates of a context made later."""
        self._chosen = other._chosen

    def _choose(self, client: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        client.context = self.for_name(name)

    def for_name(self, name: str | None) -> ssl.SSLContext:
        """The context of the first certificate for ``name`` (one label may be a wildcard), else the first of all."""
        if name:
            wanted = name.lower().rstrip(".")
            wildcard = "*." + wanted.partition(".")[2]
            for names, context in self._chosen:
                if wanted in names or wildcard in names:
                    return context
        return self._chosen[0][1]


def _context(config: ListenerTLS, certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if config.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    password = certificate.password.reveal() if certificate.password is not None else ""
    # A function, asked only when the key is encrypted: without one OpenSSL would ask whoever sits at the terminal.
    context.load_cert_chain(certificate.certificate, certificate.key, lambda: password)
    if config.client_ca is not None:
        context.load_verify_locations(config.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _names(path: Path, server: ssl.SSLContext) -> tuple[str, ...]:
    """The names that a certificate is for, lower-case; none when it is not valid now.

    The ssl module tells them only of a peer's certificate that it has verified, hence a handshake in memory in which
    the client trusts just this one.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(path)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(down, up)
    peer = server.wrap_bio(up, down, server_side=True)
    for side in (client, peer, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            log.warning("certificate %s is presented only when no other fits: %s", path.name, error)
            return ()
    names: Any = (client.getpeercert() or {}).get("subjectAltName", ())
    return tuple(str(value).lower() for kind, value in names if kind in _KINDS)


_KINDS = ("DNS", "IP Address")
