"""Who is counted: which exchanges have one caller, and which have two."""

from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_rate_limit.callers import caller, tag

from spork_core.api import Exchange, Headers, Identity, Request, RouteInfo


def exchange(client: str = "192.0.2.1", subject: str | None = None, route: str = "users", **fields: str) -> Exchange:
    made = Exchange(Request(client=client, headers=Headers({k.replace("_", "-"): v for k, v in fields.items()})))
    made.route = RouteInfo(route, "/*", None)
    made.identity = None if subject is None else Identity(subject)
    return made


def who(*by: str, prefix: int = 64, **of: str) -> Hashable:
    return caller(by, prefix)(exchange(**of))


@pytest.mark.parametrize(
    ("one", "other", "prefix", "same"),
    [
        ("192.0.2.1", "192.0.2.1", 64, True),
        ("192.0.2.1", "192.0.2.2", 64, False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 64, True),
        ("2001:db8:0:1::1", "2001:DB8:0000:1::1", 128, True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", 64, False),
        ("2001:db8:0:10::1", "2001:db8:0:1f::1", 60, True),
        ("2001:db8:0:10::1", "2001:db8:0:20::1", 60, False),
        ("2001:db8:0:1::1", "2001:db8:0:1::2", 128, False),
        ("2001:db8:0:1::1", "2001:db8:0:2::2", 56, True),
        ("::ffff:192.0.2.1", "192.0.2.1", 64, True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", 64, False),
        ("fe80::1%eth0", "fe80::2%eth1", 64, True),
        ("", "", 64, True),
        ("::", "", 64, False),
    ],
)
def test_addresses(one: str, other: str, prefix: int, same: bool) -> None:
    assert (who("address", prefix=prefix, client=one) == who("address", prefix=prefix, client=other)) is same


@given(st.text(), st.integers(16, 128))
def test_what_is_no_address_is_a_caller_too(client: str, prefix: int) -> None:
    hash(who("address", prefix=prefix, client=client))


def test_an_identity_is_one_caller_from_wherever_it_asks() -> None:
    assert who("identity", subject="ann") == who("identity", subject="ann", client="192.0.2.9")
    assert who("identity", subject="ann") != who("identity", subject="bob")


def test_who_has_no_identity_is_told_apart_by_address() -> None:
    assert who("identity") == who("identity")
    assert who("identity") != who("identity", client="192.0.2.9")


def test_a_subject_that_looks_like_an_address_is_not_that_address() -> None:
    assert who("identity", subject="192.0.2.1") != who("identity")
    assert who("key", subject="192.0.2.1") != who("key")


def test_two_keys_of_one_identity_are_two_callers() -> None:
    one, other = (who("key", subject="ann", authorization=f"Bearer {key}") for key in ("a", "b"))

    assert one != other
    assert who("key", subject="ann", x_api_key="a") != who("key", subject="ann", x_api_key="b")
    assert who("key", subject="ann") == who("key", subject="ann", client="192.0.2.9")


def test_a_header_tells_apart_and_leaving_it_out_gives_the_address() -> None:
    assert who("header:X-Tenant", x_tenant="a") == who("header:x-tenant", x_tenant="a", client="192.0.2.9")
    assert who("header:X-Tenant", x_tenant="a") != who("header:X-Tenant", x_tenant="b")
    assert who("header:X-Tenant") == who("header:X-Tenant", x_tenant="") != who("header:X-Tenant", client="192.0.2.9")


def test_a_route_is_one_caller_whoever_asks() -> None:
    assert who("route") == who("route", client="192.0.2.9", subject="ann")
    assert who("route") != who("route", route="orders")


@pytest.mark.parametrize("changed", [{"client": "192.0.2.9"}, {"route": "orders"}, {"x_tenant": "b"}])
def test_of_a_combination_each_part_counts(changed: dict[str, str]) -> None:
    by = ("address", "route", "header:X-Tenant")
    same = {"client": "192.0.2.1", "route": "users", "x_tenant": "a"}

    assert who(*by, **same) == who(*by, **same)
    assert who(*by, **same) != who(*by, **same | changed)
    assert who(*by[:2], **same) == who(*by[:2], **same)


@pytest.mark.parametrize("by", ["key", "header:X-Api-Key"])
def test_no_credential_stands_in_a_key(by: str) -> None:
    secret = "correct horse battery staple"

    key = who(by, x_api_key=secret)

    assert "horse" not in repr(key)
    assert "horse" not in tag("seed", key)


def test_keys_of_the_store_are_the_same_in_every_process() -> None:
    assert tag("seed", who("identity", subject="ann")) == "2e5118899671756553482cedf41db4e8"
    assert tag("seed", who("address", "route")) != tag("seed", who("address")) != tag("other", who("address"))


@given(st.text(alphabet=st.characters(), max_size=20))
def test_any_subject_and_any_field_gives_a_key_of_plain_letters(text: str) -> None:
    for key in (who("identity", subject=text), who("header:X-Tenant", x_tenant=text)):
        assert tag("seed", key).isalnum()
        assert tag("seed", key).isascii()
