"""Certificates, keys and authorities that a config names: they exist, are readable, and belong together."""

import ssl
from pathlib import Path

from spork_core.config.faults import Path as ConfigPath
from spork_core.config.model import GatewayConfig, ListenerTLS, UpstreamTLS
from spork_core.units import ParseError


def check_files(config: GatewayConfig) -> "list[tuple[ConfigPath, ParseError]]":
    """What is wrong with the TLS files of a config, by the path of the setting to blame."""
    found: list[tuple[ConfigPath, ParseError]] = []
    listeners = [(("listen", index), listener) for index, listener in enumerate(config.listen)]
    places: list[tuple[ConfigPath, ListenerTLS]] = [
        ((*path, "tls"), listener.tls) for path, listener in listeners if listener.tls is not None
    ]
    if config.admin is not None and config.admin.listen.tls is not None:
        places.append((("admin", "listen", "tls"), config.admin.listen.tls))
    for path, tls in places:
        found += _listener(path, tls)
    for name, service in config.services.items():
        found += _upstream(("services", name, "tls"), service.tls)
    return found


def _listener(path: ConfigPath, tls: ListenerTLS) -> "list[tuple[ConfigPath, ParseError]]":
    found: list[tuple[ConfigPath, ParseError]] = []
    for index, item in enumerate(tls.certificates):
        password = item.password.reveal() if item.password is not None else ""
        wrong = _pair(item.certificate, item.key, password)
        found += [((*path, "certificates", index, field), exc) for field, exc in wrong]
    if tls.client_ca is not None:
        found += [((*path, "client_ca"), exc) for exc in _authorities(tls.client_ca)]
    return found


def _upstream(path: ConfigPath, tls: UpstreamTLS) -> "list[tuple[ConfigPath, ParseError]]":
    found: list[tuple[ConfigPath, ParseError]] = []
    if tls.ca is not None:
        found += [((*path, "ca"), exc) for exc in _authorities(tls.ca)]
    if tls.certificate is not None:
        found += [((*path, field), exc) for field, exc in _pair(tls.certificate, tls.key, "")]
    return found


def _pair(certificate: Path, key: Path | None, password: str) -> list[tuple[str, ParseError]]:
    unreadable = [(field, _unreadable(path)) for field, path in (("certificate", certificate), ("key", key)) if path]
    problems = [(field, exc) for field, exc in unreadable if exc is not None]
    if problems:
        return problems
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a callable OpenSSL would ask for the password on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: password)
    except (ssl.SSLError, ValueError, OSError) as exc:
        reason = getattr(exc, "reason", None) or ""
        if reason == "KEY_VALUES_MISMATCH":
            return [("key", ParseError("the key does not belong to the certificate"))]
        if key is not None and not _holds(certificate, "CERTIFICATE"):
            return [("certificate", ParseError("the file holds no PEM certificate"))]
        if not _holds(key or certificate, "PRIVATE KEY"):
            return [("key" if key else "certificate", ParseError("the file holds no PEM private key"))]
        if _holds(key or certificate, "ENCRYPTED"):
            remedy = "set password" if not password else ""
            return [("key" if key else "certificate", ParseError("the key cannot be decrypted", remedy))]
        return [("certificate", ParseError(f"OpenSSL refuses the pair: {reason or 'unreadable'}"))]
    return []


def _authorities(path: Path) -> list[ParseError]:
    unreadable = _unreadable(path)
    if unreadable is not None:
        return [unreadable]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return [ParseError("the file holds no PEM certificate")]
    return []


def _unreadable(path: Path) -> ParseError | None:
    try:
        if path.exists() and not path.is_file():  # a FIFO would block
            return ParseError(f"{path} is not a regular file")
        with path.open("rb"):
            return None
    except (OSError, ValueError) as exc:
        return ParseError(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}")


def _holds(path: Path, label: str) -> bool:
    return label.encode() in path.read_bytes()
