"""What an operator may say of a cache; refused when it would not do what it says."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from attrs import Attribute, frozen

from spork_cache.rules import HEURISTIC_STATUSES, Policy
from spork_core.api import TOKEN, Bytes, Seconds, setting

_SMALLEST: Final = 64 << 10


def _names(_: object, _field: "Attribute[Any]", names: tuple[str, ...]) -> None:
    for name in names:
        if not TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; write letters, digits and hyphens, such as Cookie')


def _token(_: object, _field: "Attribute[Any]", name: str) -> None:
    if not TOKEN.fullmatch(name):
        raise ValueError(f'"{name}" cannot stand in Cache-Status; write letters, digits and hyphens, such as spork')


def _not_negative(_: object, _field: "Attribute[Any]", seconds: float) -> None:
    if seconds < 0:
        raise ValueError("must not be negative; write 0s to switch it off")


def _large(_: object, _field: "Attribute[Any]", size: int) -> None:
    if size < _SMALLEST:
        raise ValueError("has no room for answers; write 64KiB or more, such as 64MiB")


def _count(_: object, _field: "Attribute[Any]", count: int) -> None:
    if not 1 <= count <= 10_000:
        raise ValueError("must be a number from 1 to 10000")


def _share(_: object, _field: "Attribute[Any]", share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError("must be from 0 to 1; write 0 for none, or 0.1 as RFC 9111 suggests")


def _statuses(_: object, _field: "Attribute[Any]", lifetimes: "Mapping[int, float]") -> None:
    for status, seconds in lifetimes.items():
        if status not in HEURISTIC_STATUSES:
            allowed = ", ".join(map(str, sorted(HEURISTIC_STATUSES)))
            raise ValueError(f"status {status} may not be stored without the upstream's word; write one of {allowed}")
        if seconds < 0:
            raise ValueError(f"the lifetime of status {status} must not be negative; leave it out to store none")


@frozen
class KeyConfig:
    """What of a request makes its key, besides scheme, host, path and query as they were sent."""

    per_identity: bool = setting(
        "Keep the answers of each identity apart, so that those to authenticated requests can be stored at all "
        "without the upstream's word. Without an identity nothing changes.",
        default=False,
    )
    ignore_query: tuple[str, ...] = setting(
        "Query parameters that make no difference to the answer, such as utm_source. The upstream still gets them.",
        default=(),
    )
    only_query: tuple[str, ...] | None = setting(
        "The only query parameters that make a difference; null: all.", default=None
    )
    sort_query: bool = setting("Take the same parameters in another order for the same request.", default=False)

    def __attrs_post_init__(self) -> None:
        if self.only_query is not None and self.ignore_query:
            raise ValueError("only_query already ignores all others; leave out ignore_query")


@frozen
class CacheConfig:
    """Where answers are kept, how many, and what the RFCs leave to the operator."""

    store: Literal["memory", "shared"] = setting(
        "Where answers are kept: in this process's memory, or also in the gateway's Store, which other workers and "
        "machines share, with the memory in front of it.",
        default="memory",
    )
    max_size: Bytes = setting("Memory for answers, of each process.", default=64 << 20, validator=_large)
    max_entry: Bytes | None = setting(
        "The longest content that is stored; null: 1MiB, or an eighth of max_size where that is less.", default=None
    )
    variants: int = setting(
        "Answers that are kept for one URL when they differ by Vary; the oldest goes.", default=32, validator=_count
    )
    name: str = setting("How this cache calls itself in Cache-Status.", default="spork", validator=_token)
    status: bool = setting("Send Cache-Status (RFC 9211).", default=True)
    key: KeyConfig = setting("What makes the key.", factory=KeyConfig)
    identified_by: tuple[str, ...] = setting(
        "Request fields that say who is asking: answers to requests with one of them are shared only when the upstream "
        "allows it (RFC 9111 section 3.5).",
        default=("Authorization",),
        validator=_names,
    )
    targeted: tuple[str, ...] = setting(
        "Fields that speak to this cache and come before Cache-Control (RFC 9213), the first one that is there.",
        default=("Spork-Cache-Control", "CDN-Cache-Control"),
        validator=_names,
    )
    heuristic: float = setting(
        "Fraction of the time since Last-Modified that an answer without a lifetime stays fresh; 0: it is not stored.",
        default=0.0,
        validator=_share,
    )
    lifetimes: Mapping[int, Seconds] = setting(
        "Lifetime of answers, by status, for which the upstream says none.", factory=dict, validator=_statuses
    )
    honour_client: bool = setting(
        "Obey no-cache, max-age, min-fresh and max-stale of requests. False: clients cannot make the upstream work.",
        default=True,
    )
    stale_while_revalidate: Seconds = setting(
        "How long a stale answer is served while it is revalidated, where the upstream says nothing (RFC 5861).",
        default=0.0,
        validator=_not_negative,
    )
    stale_if_error: Seconds = setting(
        "How long a stale answer is served when the upstream fails, where it says nothing (RFC 5861).",
        default=0.0,
        validator=_not_negative,
    )
    stale_beside_s_maxage: bool = setting(
        "Take stale-while-revalidate and stale-if-error also from answers with s-maxage, which forbids stale answers "
        "by itself (RFC 9111 section 5.2.2.10); frameworks send both.",
        default=False,
    )
    keep: Seconds = setting(
        "How long a stale answer that has a validator is kept, to be revalidated.", default=600.0,
        validator=_not_negative,
    )  # fmt: skip
    strip_cookies: bool = setting(
        "Store answers with Set-Cookie, without it. False: they are not stored.", default=False
    )
    coalesce: bool = setting("Let requests for the same thing wait for the first of them.", default=True)
    wait: Seconds = setting(
        "How long a request waits for another one before it asks the upstream itself.", default=5.0,
        validator=_not_negative,
    )  # fmt: skip
    uncacheable: Seconds = setting(
        "How long requests for something that turned out not to be for everybody do not wait for each other.",
        default=60.0,
        validator=_not_negative,
    )
    background: int = setting("Revalidations at a time beside exchanges.", default=64, validator=_count)
    max_vary: int = setting("The most names in Vary; an answer with more is not stored.", default=8, validator=_count)
    max_tags: int = setting(
        "The most tags of an answer (Surrogate-Key, Cache-Tag); one with more is not stored, a purge could miss it.",
        default=128,
        validator=_count,
    )

    def __attrs_post_init__(self) -> None:
        if self.max_entry is not None and not 1 <= self.max_entry <= self.max_size // 2:
            raise ValueError("max_entry must be at least 1B and at most half of max_size; write a smaller one")

    @property
    def largest(self) -> int:
        """Bytes of the longest content that is stored."""
        return min(1 << 20, self.max_size // 8) if self.max_entry is None else self.max_entry

    def policy(self) -> Policy:
        """The same as the rules take it."""
        return Policy(
            name=self.name,
            targeted=self.targeted,
            heuristic=self.heuristic,
            defaults=dict(self.lifetimes),
            stale_while_revalidate=self.stale_while_revalidate,
            stale_if_error=self.stale_if_error,
            stale_beside_s_maxage=self.stale_beside_s_maxage,
            honour_client=self.honour_client,
            strip_cookies=self.strip_cookies,
            max_vary=self.max_vary,
            max_tags=self.max_tags,
        )
