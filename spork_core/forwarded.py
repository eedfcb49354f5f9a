"""Who the client is, and what the backend is told about it: X-Forwarded-*, Forwarded (RFC 7239) and trusted proxies."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from attrs import frozen

from spork_core.headers import FORWARDED, HOST, SPECIAL_REQUEST, Headers, listed

Network = IPv4Network | IPv6Network
_CACHED_PEERS: Final = 4096
_MANAGED: Final = SPECIAL_REQUEST | {"host", "via", "authorization", "cookie", "x-request-id"}


@frozen
class Seen:
    """The client as the gateway believes it: ``address`` (IP text, "" for a unix socket), ``scheme`` and ``host``."""

    address: str
    scheme: str
    host: str


class Forwarding:
    """The rule for one gateway: believe what a trusted proxy says, delete and rebuild what anyone else does.

    ``x_forwarded``: send ``X-Forwarded-For/-Proto/-Host``. ``forwarded``: send RFC 7239's ``Forwarded`` too.
    """

    def __init__(
        self, trusted: Sequence[Network] = (), *, x_forwarded: bool = True, forwarded: bool = False
    ) -> None:
        self._trusted = tuple(trusted)
        self._x_forwarded = x_forwarded
        self._forwarded = forwarded
        self._known: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        """True when ``address`` lies in ``trusted_proxies``; a text that is no IP address never does."""
        if not self._trusted:
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _CACHED_PEERS:
                self._known.clear()
            known = self._known[address] = self._within(address)
        return known

    def _within(self, address: str) -> bool:
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self._trusted)

    def see(self, headers: Headers, peer: str, scheme: str, host: str) -> Seen:
        """The client behind a trusted ``peer``: X-Forwarded-For walked from the right past trusted addresses, the last
        X-Forwarded-Proto and -Host. What is malformed is not believed."""
        address = peer
        for hop in reversed(listed(headers, "X-Forwarded-For")):
            hop = _bare(hop)
            if not hop:
                break
            address = hop
            if not self.trusts(hop):
                break
        protos = listed(headers, "X-Forwarded-Proto")
        if protos and protos[-1] in ("http", "https"):
            scheme = protos[-1]
        hosts = listed(headers, "X-Forwarded-Host")
        if hosts and HOST.fullmatch(hosts[-1]):
            host = hosts[-1]
        return Seen(address, scheme, host)

    def lines(self, peer: str, client: str, scheme: str, host: str, before: str = "") -> str:
        """The header lines for the backend. ``before``: the X-Forwarded-For that a trusted peer sent, kept in front."""
        out = ""
        if self._x_forwarded:
            chain = f"{before}, {peer}" if before else peer
            out = (
                (f"X-Forwarded-For: {chain}\r\n" if chain else "")
                + f"X-Forwarded-Proto: {scheme}\r\n"
                + (f"X-Forwarded-Host: {host}\r\n" if host else "")
            )
        if self._forwarded:
            node = f'"[{client}]"' if ":" in client else client or "unknown"
            out += f'Forwarded: for={node};host="{host}";proto={scheme}\r\n'
        return out


def without_forwarded(headers: Headers, names: frozenset[str]) -> None:
    """Removes every field that speaks for a client; ``names``: the lower-case ones that are there."""
    for name in names & FORWARDED:
        headers.popall(name, None)


def drop_disguised(headers: Headers) -> None:
    """Removes fields whose name has an underscore where a name the gateway manages has a hyphen: many backends read
    ``X_Forwarded_For`` as ``X-Forwarded-For``."""
    for name in {name for name in headers if "_" in name and name.lower().replace("_", "-") in _MANAGED}:
        headers.popall(name, None)


def _bare(hop: str) -> str:
    """An X-Forwarded-For member without its port, or "" when it is no IP address."""
    if hop.startswith("["):
        hop = hop[1 : hop.find("]")]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ip_address(hop))
    except ValueError:
        return ""
