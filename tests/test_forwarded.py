"""Who the client is: what trusted proxies say, what everybody else says, and what the backend is told."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.forwarded import Forwarding, Seen, drop_disguised, without_forwarded
from spork_core.headers import FORWARDED, Headers, special

TRUSTED = tuple(map(ip_network, ["10.0.0.0/8", "fd00::/8"]))
RULE = Forwarding(TRUSTED)


def address(*values: str, name: str = "X-Forwarded-For", peer: str = "10.0.0.1") -> str:
    return RULE.see(Headers([(name, value) for value in values]), peer, "http", "gw").address


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.0.0.1", False),
        ("fd00::1", True),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("", False),
        ("10.0.0.1:80", False),
        ("proxy.example", False),
    ],
)
def test_a_peer_is_trusted_by_its_network(peer: str, trusted: bool) -> None:
    assert RULE.trusts(peer) is trusted
    assert Forwarding().trusts(peer) is False


def test_what_is_known_of_peers_stays_bounded() -> None:
    assert sum(RULE.trusts(f"10.0.{high}.{low}") for high in range(20) for low in range(256)) == 5120
    assert len(RULE._known) <= 4096


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([], "10.0.0.1"),
        (["192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 10.0.0.9"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7, 10.0.0.9"], "192.0.2.7"),
        (["198.51.100.1", "192.0.2.7", "10.0.0.9"], "192.0.2.7"),
        (["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
        (["192.0.2.7:4711"], "192.0.2.7"),
        (["2001:DB8::1, fd00::2"], "2001:db8::1"),
        (["[2001:db8::1], [fd00::2]:80"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["192.0.2.7, , "], "192.0.2.7"),
    ],
)
def test_the_client_is_the_last_hop_that_is_not_trusted(values: list[str], client: str) -> None:
    assert address(*values) == client


@pytest.mark.parametrize(
    "bad",
    """unknown _hidden 1.2.3 1.2.3.4.5 192.0.2.7:http 192.0.2.7:123456 [2001:db8::1 2001:db8::1] [2001:db8::1]x
    [2001:db8::1]: [192.0.2.7] [] [ : fe80::1%a"b fe80::1%eth0 "192.0.2.7" 192.0.2.7/32 0x7f000001""".split(),
)
def test_what_is_malformed_is_not_believed_nor_what_stands_before_it(bad: str) -> None:
    assert address(f"192.0.2.66, {bad}, 10.0.0.9") == "10.0.0.9"


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"X-Forwarded-Proto": "HTTPS"}, Seen("10.0.0.1", "https", "gw")),
        ({"X-Forwarded-Proto": "http, https"}, Seen("10.0.0.1", "https", "gw")),
        ({"X-Forwarded-Proto": "javascript"}, Seen("10.0.0.1", "http", "gw")),
        ({"X-Forwarded-Host": "shop.example:8443"}, Seen("10.0.0.1", "http", "shop.example:8443")),
        ({"X-Forwarded-Host": "evil/path"}, Seen("10.0.0.1", "http", "gw")),
        ({"X-Forwarded-Host": 'a"b'}, Seen("10.0.0.1", "http", "gw")),
    ],
)
def test_scheme_and_host_are_the_last_ones_if_they_are_such(fields: dict[str, str], seen: Seen) -> None:
    assert RULE.see(Headers(fields), "10.0.0.1", "http", "gw") == seen


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("for=192.0.2.7", Seen("192.0.2.7", "http", "gw")),
        (
            'for="[2001:db8::1]:4711";proto=https;host="shop.example:8443"',
            Seen("2001:db8::1", "https", "shop.example:8443"),
        ),
        ("for=198.51.100.1, For=192.0.2.7;By=10.0.0.9, for=10.0.0.9", Seen("192.0.2.7", "http", "gw")),
        ('for="192.0.2.7:80", for=10.0.0.9;proto=https', Seen("192.0.2.7", "https", "gw")),
        ('for="a, b";host="x", for=192.0.2.7', Seen("192.0.2.7", "http", "gw")),
        (
            "for=1.1.1.1;proto=http;host=no, for=192.0.2.7;proto=https, for=10.0.0.9;proto=http",
            Seen("192.0.2.7", "https", "gw"),
        ),
        ('for="192.0.2.66, for=192.0.2.7;host="shop.example"', Seen("192.0.2.7", "http", "shop.example")),
        ("for=192.0.2.66, for=unknown", Seen("10.0.0.1", "http", "gw")),
        ("for=192.0.2.66, for=_hidden, for=10.0.0.9", Seen("10.0.0.9", "http", "gw")),
        ("for=192.0.2.66, ;;garbage", Seen("10.0.0.1", "http", "gw")),
        ('for="192.0.2.66', Seen("10.0.0.1", "http", "gw")),
        ("proto=gopher;host=a/b", Seen("10.0.0.1", "http", "gw")),
    ],
)
def test_rfc_7239_says_the_same_where_x_forwarded_is_silent(value: str, seen: Seen) -> None:
    assert RULE.see(Headers({"Forwarded": value}), "10.0.0.1", "http", "gw") == seen


def test_x_forwarded_outweighs_rfc_7239() -> None:
    headers = Headers({"Forwarded": "for=192.0.2.66;proto=https;host=x", "X-Forwarded-For": "192.0.2.7"})

    assert RULE.see(headers, "10.0.0.1", "http", "gw") == Seen("192.0.2.7", "http", "gw")


@given(st.lists(st.text(max_size=12), max_size=4), st.sampled_from(["X-Forwarded-For", "Forwarded"]))
def test_whatever_is_said_the_client_is_an_address(values: list[str], name: str) -> None:
    known = {"10.0.0.1", *(hop.strip().lower() for value in values for hop in value.split(","))}

    assert address(*values, name=name) in known


# -- what the backend is told ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "given", "lines"),
    [
        (
            Forwarding(),
            ("192.0.2.7", "192.0.2.7", "http", "gw"),
            ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: http", "X-Forwarded-Host: gw"],
        ),
        (
            Forwarding(TRUSTED),
            ("10.0.0.1", "192.0.2.7", "https", "gw", "192.0.2.7, 10.0.0.9"),
            ["X-Forwarded-For: 192.0.2.7, 10.0.0.9, 10.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: gw"],
        ),
        (Forwarding(), ("", "", "http", ""), ["X-Forwarded-Proto: http"]),
        (Forwarding(x_forwarded=False), ("192.0.2.7", "192.0.2.7", "http", "gw"), []),
        (
            Forwarding(x_forwarded=False, forwarded=True),
            ("192.0.2.7", "192.0.2.7", "https", "gw:8443"),
            ['Forwarded: for=192.0.2.7;host="gw:8443";proto=https'],
        ),
        (
            Forwarding(x_forwarded=False, forwarded=True),
            ("2001:db8::1", "2001:db8::1", "http", "gw"),
            ['Forwarded: for="[2001:db8::1]";host="gw";proto=http'],
        ),
        (
            Forwarding(x_forwarded=False, forwarded=True),
            ("", "", "http", "gw"),
            ['Forwarded: for=unknown;host="gw";proto=http'],
        ),
        (
            Forwarding(x_forwarded=False, forwarded=True),
            ("::1", "::1", "http", ""),
            ['Forwarded: for="[::1]";proto=http'],
        ),
    ],
)
def test_the_backend_is_told(rule: Forwarding, given: tuple[str, ...], lines: list[str]) -> None:
    assert rule.lines(*given) == "".join(f"{line}\r\n" for line in lines)


def test_what_speaks_for_a_client_is_removed() -> None:
    headers = Headers([*((name.title(), "x") for name in FORWARDED), ("Accept", "y"), ("x-forwarded-for", "z")])

    without_forwarded(headers, special(headers, FORWARDED))

    assert list(headers) == ["Accept"]


@pytest.mark.parametrize(
    "name", ["X_Forwarded_For", "x_real-ip", "CONTENT_LENGTH", "Transfer_Encoding", "X_Request_Id"]
)
def test_a_managed_name_cannot_be_disguised(name: str) -> None:
    headers = Headers([(name, "10.0.0.1"), ("X_Own", "y"), (name.lower(), "2")])

    drop_disguised(headers)

    assert list(headers) == ["X_Own"]
