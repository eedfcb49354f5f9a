"""Who the client is, and what the backend is told about it: X-Forwarded-*, Forwarded (RFC 7239) and trusted proxies."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
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

    def __init__(self, trusted: Sequence[Network] = (), *, x_forwarded: bool = True, forwarded: bool = False) -> None:
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
        X-Forwarded-Proto and -Host; Forwarded (RFC 7239) where there is none of these. What is malformed is not
        believed."""
        hops, protos, hosts = (listed(headers, name) for name in _SAID)
        elements: list[dict[str, str]] = []
        if not (hops or protos or hosts) and "Forwarded" in headers:
            elements = _elements(headers.getall("Forwarded"))
            hops = [element.get("for", "") for element in elements]
        address, looked_at = peer, 0
        for hop in map(_bare, reversed(hops)):
            looked_at += 1
            if hop:
                address = hop
            if not hop or not self.trusts(hop):
                break
        for element in reversed(elements[len(elements) - looked_at :]):  # those that trusted proxies have added
            protos += [element["proto"]] if "proto" in element else []
            hosts += [element["host"]] if "host" in element else []
        if protos and protos[-1] in ("http", "https"):
            scheme = protos[-1]
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
            named = f'host="{host}";' if host else ""
            out += f"Forwarded: for={node};{named}proto={scheme}\r\n"
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


_SAID: Final = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
_PAIR: Final = re.compile(r"""[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)=(?:([!#$%&'*+.^_`|~0-9a-z-]+)|"((?:[^"\\]|\\.)*)")""")
_BETWEEN: Final = re.compile(r"[ \t]*(;|,)[ \t]*|[ \t]*$")


def _elements(values: list[str]) -> list[dict[str, str]]:
    """The elements of RFC 7239, in order. What is malformed takes what stands before it with it: what counts is the
    right end, which the nearest proxy wrote."""
    text, at = ",".join(values).lower(), 0
    elements: list[dict[str, str]] = []
    element: dict[str, str] = {}
    while at < len(text):
        pair = _PAIR.match(text, at)
        after = _BETWEEN.match(text, pair.end()) if pair is not None else None
        if pair is None or after is None:
            elements, element = [{}], {}
            at = text.find(",", at) + 1
            if at == 0:
                break
            continue
        element[pair[1]] = pair[2] or re.sub(r"\\(.)", r"\1", pair[3] or "")
        at = after.end()
        if after[1] != ";":
            elements.append(element)
            element = {}
    return elements


_NODE: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?|([0-9a-f:.]+)")


def _bare(hop: str) -> str:
    """A member of X-Forwarded-For without its port, or "" when it is no IP address."""
    node = _NODE.fullmatch(hop)
    if node is None:
        return ""
    try:
        return str(IPv6Address(node[1]) if node[1] else ip_address(node[2] or node[3]))
    except ValueError:
        return ""
