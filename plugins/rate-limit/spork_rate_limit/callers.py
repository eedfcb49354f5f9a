"""Who is counted: what ``by`` says, as one function that gives a caller's key.

Rules of this file
1. Keys of different kinds are never equal: a caller who chooses its subject, or a header's value, as it likes takes
   nobody else's count.
2. What may be a credential is kept as its digest only.
3. Who lacks what it should be told apart by is counted by its address: leaving a header out gives no new count.
"""

from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from socket import AF_INET6, inet_pton
from typing import Final

from multidict import istr

from spork_core.api import Exchange

Caller = Callable[[Exchange], Hashable]
"""Gives the key of an exchange's caller: text, bytes, or a tuple of these."""

HEADER: Final = "header:"

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""What an IPv6 address begins with that stands for an IPv4 one (RFC 4291 section 2.5.5.2)."""

_AUTHORIZATION: Final = istr("Authorization")
_API_KEY: Final = istr("X-Api-Key")


def caller(by: Sequence[str], ipv6_prefix: int) -> Caller:
    """The function for ``by``; where it names several things, callers differ when one of them does."""
    address = by_address(ipv6_prefix)
    parts = tuple(_part(each, address) for each in by)
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda exchange: (first(exchange), second(exchange))
    return lambda exchange: tuple([part(exchange) for part in parts])


def _part(by: str, address: Caller) -> Caller:
    if by == "address":
        return address
    if by == "route":
        return _by_route
    if by == "identity":
        return _by_identity(address)
    return _by_key(address) if by == "key" else _by_header(istr(by.removeprefix(HEADER)), address)


def by_address(ipv6_prefix: int) -> Caller:
    """By the client's address, behind trusted proxies. ``ipv6_prefix``: bits of an IPv6 address that count, since one
    customer has all addresses of a /64. Connections of a unix socket are one caller."""
    whole, rest = divmod(ipv6_prefix, 8)

    def address(exchange: Exchange) -> Hashable:
        client = exchange.request.client
        if ":" not in client:
            return client
        try:
            packed = inet_pton(AF_INET6, client.partition("%")[0])
        except (OSError, ValueError):  # also bytes that stand for no address, and a NUL
            return client
        if packed.startswith(_MAPPED):
            return ".".join(map(str, packed[12:]))
        if rest:
            return packed[:whole] + bytes((packed[whole] >> (8 - rest) << (8 - rest),))
        return packed[:whole]

    return address


def _by_route(exchange: Exchange) -> Hashable:
    return exchange.route.name if exchange.route is not None else ""


def _by_identity(address: Caller) -> Caller:
    def identity(exchange: Exchange) -> Hashable:
        known = exchange.identity
        return known.subject if known is not None else ("address", address(exchange))

    return identity


def _by_key(address: Caller) -> Caller:
    def key(exchange: Exchange) -> Hashable:
        headers = exchange.request.headers
        sent = headers.get(_AUTHORIZATION) or headers.get(_API_KEY)
        if sent:
            return digest(sent)
        known = exchange.identity  # it came by a cookie, or a certificate
        return ("identity", known.subject) if known is not None else ("address", address(exchange))

    return key


def _by_header(name: str, address: Caller) -> Caller:
    def header(exchange: Exchange) -> Hashable:
        sent = exchange.request.headers.get(name)
        return digest(sent) if sent else ("address", address(exchange))

    return header


def digest(text: str) -> bytes:
    """16 bytes that stand for ``text`` and do not tell it. Text from a request may hold bytes that are not UTF-8."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def tag(seed: str, who: Hashable) -> str:
    """What stands for a key of this file in the keys of a store: the same in every process with the same ``seed``."""
    return digest(f"{seed}{who!r}").hex()
