"""Tokens that are bad: each is a 401 with its reason, and none is a crash, a fetch or a wait."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest

from spork_core.testing import gateway

SENTENCES = {
    "malformed": "The token is malformed.",
    "algorithm": "The algorithm of the token is not accepted.",
    "key": "The key of the token is not known.",
    "signature": "The signature of the token is wrong.",
    "expired": "The token has expired.",
    "immature": "The token is not valid yet.",
    "issuer": "The issuer of the token is not accepted.",
    "audience": "The token is meant for another audience.",
    "type": "The type of the token is not accepted.",
    "lifetime": "The lifetime of the token is too long.",
    "claims": "A claim of the token is missing or of the wrong type.",
}
ISSUER = "https://id.example.com"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def spoiled(token: str, part: int, change: Callable[[str], str]) -> str:
    parts = token.split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


def header(**more: Any) -> bytes:
    return json.dumps({"alg": "HS256", "typ": "JWT", **more}).encode()


def payload(issuer: Any, **more: Any) -> bytes:
    return json.dumps(issuer.claims(**more)).encode()


FORMS: dict[str, Callable[[Any], str]] = {
    "nothing": lambda i: "",
    "one part": lambda i: "abc",
    "two parts": lambda i: i.token().rpartition(".")[0],
    "four parts": lambda i: i.token() + ".abc",
    "five parts, as a JWE has": lambda i: i.token() + ".abc.def",
    "an empty part": lambda i: spoiled(i.token(), 2, lambda _: ""),
    "padding": lambda i: i.token() + "=",
    "base64 that is not for URLs": lambda i: spoiled(i.token(), 2, lambda part: "+/" + part[2:]),
    "a length that cannot be": lambda i: spoiled(i.token(), 0, lambda part: part + "A" * ((1 - len(part)) % 4)),
    "a blank inside": lambda i: i.token()[:50] + " " + i.token()[50:],
    "not ASCII": lambda i: i.token() + "é",
    "not UTF-8": lambda i: i.token() + "\udcff",
    "spare bits": lambda i: spoiled(i.token(), 2, lambda part: part[:-1] + chr(ord(part[-1]) + 1)),
    "8 KiB and more": lambda i: i.token(more="x" * 6100),
    "a header of more than 4 KiB": lambda i: i.token(header={"more": "x" * 3100}),
    "no JSON": lambda i: i.signed(b"{", payload(i)),
    "a header that is a list": lambda i: i.signed(b'["HS256"]', payload(i)),
    "a header that is text": lambda i: i.signed(b'"HS256"', payload(i)),
    "a header in UTF-16": lambda i: i.signed(header().decode().encode("utf-16"), payload(i)),
    "a header that is not UTF-8": lambda i: i.signed(header(x="?").replace(b"?", b"\xff"), payload(i)),
    "a member twice": lambda i: i.signed(b'{"alg":"none","alg":"HS256"}', payload(i)),
    "NaN": lambda i: i.signed(b'{"alg":"HS256","x":NaN}', payload(i)),
    "half of a character": lambda i: i.signed(b'{"alg":"HS256","x":"\\ud800"}', payload(i)),
    "a deep header": lambda i: i.signed(b'{"alg":"HS256","x":' + b"[" * 1400 + b"]" * 1400 + b"}", payload(i)),
    "a header deeper than any": lambda i: b64(b"[" * 3000) + ".e30.e30",
    "no alg": lambda i: i.signed(b'{"typ":"JWT"}', payload(i)),
    "an alg that is a number": lambda i: i.signed(header(alg=256), payload(i)),
    "an alg that is a list": lambda i: i.signed(header(alg=["HS256"]), payload(i)),
    "a kid that is a number": lambda i: i.signed(header(kid=1), payload(i)),
    "a kid that is null": lambda i: i.signed(header(kid=None), payload(i)),
    "a kid that is an object": lambda i: i.signed(header(kid={"$ne": ""}), payload(i)),
    "crit": lambda i: i.signed(header(crit=["exp"]), payload(i)),
    "an empty crit": lambda i: i.signed(header(crit=[]), payload(i)),
    "b64": lambda i: i.signed(header(b64=False), payload(i)),
    "b64 and crit": lambda i: i.signed(header(b64=False, crit=["b64"]), payload(i)),
    "claims that are a list": lambda i: i.signed(header(), b"[]"),
    "claims that are text": lambda i: i.signed(header(), b'"x"'),
    "claims that are a token": lambda i: i.signed(header(cty="JWT"), i.token().encode()),
    "a claim twice": lambda i: i.signed(header(), payload(i)[:-1] + b',"sub":"root"}'),
    "a claim twice, inside": lambda i: i.signed(header(), payload(i)[:-1] + b',"x":{"a":1,"a":2}}'),
    "claims that are not UTF-8": lambda i: i.signed(header(), payload(i, sub="?").replace(b"?", b"\xff")),
    "claims in UTF-16": lambda i: i.signed(header(), payload(i).decode().encode("utf-16")),
    "claims with a byte order mark": lambda i: i.signed(header(), b"\xef\xbb\xbf" + payload(i)),
    "half of a character in a claim": lambda i: i.signed(header(), payload(i, sub="\ud800")),
    "deep claims": lambda i: i.signed(header(), payload(i)[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "a number that is too long": lambda i: i.signed(header(), payload(i)[:-1] + b',"x":' + b"9" * 5000 + b"}"),
}

SIGNATURES: dict[str, Callable[[Any], str]] = {
    "another secret": lambda i: pyjwt.encode(i.claims(), "x" * 40, "HS256"),
    "none of it": lambda i: spoiled(i.token(), 2, lambda _: "AA"),
    "half of it": lambda i: spoiled(i.token(), 2, lambda part: part[:20]),
    "other claims": lambda i: spoiled(i.token(), 1, lambda _: b64(payload(i, sub="root"))),
    "another header": lambda i: spoiled(i.token(), 0, lambda _: b64(header(kid="x"))),
    "a path as kid": lambda i: pyjwt.encode(i.claims(), "x" * 40, "HS256", headers={"kid": "../../dev/null"}),
    "SQL as kid": lambda i: pyjwt.encode(i.claims(), "x" * 40, "HS256", headers={"kid": "' UNION SELECT 'key"}),
}

ALGORITHMS: dict[str, Callable[[Any], str]] = {
    "none": lambda i: pyjwt.encode(i.claims(), None, "none") + "AA",
    "None": lambda i: f"{b64(header(alg='None'))}.{b64(payload(i))}.AA",
    "nOnE": lambda i: f"{b64(header(alg='nOnE'))}.{b64(payload(i))}.AA",
    "in small letters": lambda i: i.signed(header(alg="hs256"), payload(i)),
    "another of the family": lambda i: pyjwt.encode(i.claims(), i.private, "HS512"),
    "one that nobody knows": lambda i: i.signed(header(alg="HS256 "), payload(i)),
    "an empty one": lambda i: i.signed(header(alg=""), payload(i)),
    "that of encryption": lambda i: i.signed(header(alg="dir", enc="A256GCM"), payload(i)),
}

CLAIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "no exp": ("claims", {"exp": ...}),
    "exp is text": ("claims", {"exp": "4000000000"}),
    "exp is true": ("claims", {"exp": True}),
    "exp is null": ("claims", {"exp": None}),
    "exp is a list": ("claims", {"exp": [4000000000]}),
    "exp is huge": ("claims", {"exp": 1e300}),
    "exp is larger than any float": ("claims", {"exp": 10**400}),
    "exp is less than nothing": ("claims", {"exp": -1}),
    "exp is past": ("expired", {"exp": 1893456000 - 31}),
    "exp is past, to the second": ("expired", {"exp": 1893456000 - 30}),
    "nbf is to come": ("immature", {"nbf": 1893456000 + 31}),
    "nbf is text": ("claims", {"nbf": "1"}),
    "nbf is null": ("claims", {"nbf": None}),
    "iat is to come": ("immature", {"iat": 1893456000 + 31}),
    "iat is text": ("claims", {"iat": "1"}),
    "iat is false": ("claims", {"iat": False}),
    "no iss": ("issuer", {"iss": ...}),
    "another iss": ("issuer", {"iss": ISSUER + "/"}),
    "iss is a list": ("issuer", {"iss": [ISSUER]}),
    "iss is an object": ("issuer", {"iss": {}}),
    "no aud": ("audience", {"aud": ...}),
    "aud is null": ("audience", {"aud": None}),
    "another aud": ("audience", {"aud": "spork2"}),
    "aud is a part of it": ("audience", {"aud": "spor"}),
    "others in aud": ("audience", {"aud": ["a", "b"]}),
    "nobody in aud": ("audience", {"aud": []}),
    "aud has a number": ("audience", {"aud": ["spork", 1]}),
    "aud is an object": ("audience", {"aud": {"spork": 1}}),
    "no sub": ("claims", {"sub": ...}),
    "sub is empty": ("claims", {"sub": ""}),
    "sub is a number": ("claims", {"sub": 7}),
    "sub is a list": ("claims", {"sub": ["alice"]}),
    "jti is a number": ("claims", {"jti": 7}),
    "a required claim is missing": ("claims", {"email": ...}),
    "a required claim is null": ("claims", {"email": None}),
    "scope is a number": ("claims", {"scope": 1}),
    "scope has a number": ("claims", {"scope": ["a", 1]}),
    "roles is an object": ("claims", {"roles": {"admin": True}}),
    "it lives for too long": ("lifetime", {"exp": 1893456000 + 7201}),
    "it lives for too long, and hides it": ("lifetime", {"iat": ..., "exp": 1893456000 + 7231}),
    "it began long ago": ("lifetime", {"iat": 1}),
}

TABLE = [
    *(pytest.param("malformed", make, id=f"form: {name}") for name, make in FORMS.items()),
    *(pytest.param("signature", make, id=f"signature: {name}") for name, make in SIGNATURES.items()),
    *(pytest.param("algorithm", make, id=f"algorithm: {name}") for name, make in ALGORITHMS.items()),
    *(
        pytest.param(why, lambda i, more=more: signed(i, more), id=f"claims: {name}")
        for name, (why, more) in CLAIMS.items()
    ),
]


def signed(issuer: Any, more: dict[str, Any]) -> str:
    usual = {"iss": ISSUER, "aud": "spork", "email": "a@example.com"}
    return issuer.signed(header(), payload(issuer, **{**usual, **more}))


@pytest.fixture
def strict(secret: str) -> dict[str, Any]:
    return {
        "secret": secret,
        "issuer": ISSUER,
        "audience": ["spork", "knife"],
        "max_lifetime": "2h",
        "required": ["email"],
    }


@pytest.mark.parametrize(("why", "make"), TABLE)
async def test_a_bad_token(
    issuer: Any, challenge: Any, strict: dict[str, Any], why: str, make: Callable[[Any], str]
) -> None:
    async with gateway(plugins={"jwt": strict}) as gw:
        for _ in range(2):
            field = b"Authorization: Bearer " + make(issuer).encode("utf-8", "surrogateescape")
            answer = await gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + field + b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert f"WWW-Authenticate: {challenge(SENTENCES[why])}\r\n".encode() in answer
        gw.upstream.must_not_be_reached()
        assert gw.metrics()["jwt_cache_entries"] == {("jwt",): 0}


async def test_the_same_rules_let_a_good_token_pass(issuer: Any, strict: dict[str, Any]) -> None:
    edges: list[dict[str, Any]] = [
        {},
        {"aud": ["a", "knife"]},
        {"exp": 1893456000 - 29},
        {"nbf": 1893456000 + 30, "iat": 1893456000 + 30},
        {"exp": 1893456000.5 + 60},
        {"sub": "ålice \U0001f600"},
        {"exp": 1893456000 + 7200},
        {"exp": 1893456000 + 7230, "iat": ...},
    ]
    async with gateway(plugins={"jwt": strict}) as gw:
        for more in edges:
            (await gw.get("/", headers={"Authorization": f"Bearer {signed(issuer, more)}"})).must_be(200)


async def test_a_public_key_is_no_secret(of: Any, tmp_path: Path, challenge: Any) -> None:
    issuer = of("RS256")
    (tmp_path / "key.pem").write_bytes(issuer.pem)
    settings = {"public_key_file": f"{tmp_path}/key.pem", "algorithms": ["RS256"]}
    async with gateway(plugins={"jwt": settings}) as gw:
        for secret in (issuer.pem, issuer.pem.strip(), json.dumps(issuer.jwk()).encode()):
            message = f"{b64(header())}.{b64(payload(issuer))}".encode()
            forged = f"{message.decode()}.{b64(pyjwt.get_algorithm_by_name('HS256').sign(message, secret))}"
            answer = await gw.get("/", headers={"Authorization": f"Bearer {forged}"})
            answer.must_be(401).must_have("WWW-Authenticate", challenge(SENTENCES["algorithm"]))


async def test_keys_in_a_header_are_not_used(of: Any, jwks: Any, tmp_path: Path, challenge: Any) -> None:
    good, forger = of("ES256", "k1"), of("ES256", "k1", "forger")
    (tmp_path / "jwks.json").write_text(jwks(good.jwk()))
    async with gateway(plugins={"jwt": {"jwks_file": f"{tmp_path}/jwks.json"}}) as gw:
        address = f"http://127.0.0.1:{gw.upstream.url.rpartition(':')[2]}/keys"
        for offered in ({"jwk": forger.jwk()}, {"jku": address}, {"x5u": address}, {"x5c": ["MIIB"]}):
            answer = await gw.get("/", headers=forger.bearer(header=offered))
            answer.must_be(401).must_have("WWW-Authenticate", challenge(SENTENCES["signature"]))
            (await gw.get("/x", headers=good.bearer(header=offered))).must_be(200)
        assert gw.upstream.must_have_got(4).last.target == "/x"


async def test_another_type(issuer: Any, secret: str, challenge: Any) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "typ": "at+jwt"}}) as gw:
        for typ in ("at+jwt", "application/AT+JWT"):
            (await gw.get("/", headers=issuer.bearer(header={"typ": typ}))).must_be(200)
        for typ in ("JWT", "id+jwt", None, 7):
            (await gw.get("/", headers={"Authorization": f"Bearer {issuer.signed(header(typ=typ), b'{}')}"})).must_be(
                401
            ).must_have("WWW-Authenticate", challenge(SENTENCES["type"]))


async def test_an_audience_that_nobody_asked_for(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        (await gw.get("/", headers=issuer.bearer(aud="others"))).must_be(401)
        await gw.reload(plugins={"jwt": {"secret": secret, "audience": "*", "issuer": "*"}})
        (await gw.get("/", headers=issuer.bearer(aud="others", iss="who"))).must_be(200)
        number = issuer.signed(header(), payload(issuer, iss=7))
        (await gw.get("/", headers={"Authorization": f"Bearer {number}"})).must_be(401)


async def test_two_authorization_fields(issuer: Any, secret: str, challenge: Any) -> None:
    good = f"Authorization: Bearer {issuer.token()}\r\n".encode()
    others = (good, b"Authorization: Bearer x\r\n", b"authorization: Basic YTpi\r\n", b"Authorization:\r\n")
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        for other in others:
            for fields in (good + other, other + good):
                answer = await gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + b"\r\n")
                assert answer.startswith(b"HTTP/1.1 401 ")
                assert challenge("There is more than one Authorization field.", "invalid_request").encode() in answer
        gw.upstream.must_have_got(1)


async def test_a_token_in_two_places(issuer: Any, secret: str, challenge: Any) -> None:
    settings = {"secret": secret, "cookie": "session", "query": "token"}
    token = issuer.token()
    field, cookie = {"Authorization": f"Bearer {token}"}, {"Cookie": f"session={token}"}
    requests = (
        ("/", {**field, **cookie}),
        (f"/?token={token}", field),
        (f"/?token={token}", cookie),
        (f"/?token={token}&token={token}", {}),
        ("/", {"Cookie": f"session={token}; session={token}"}),
    )
    async with gateway(plugins={"jwt": settings}) as gw:
        (await gw.get("/", headers=field)).must_be(200)  # it is known, and still refused beside another
        for target, headers in requests:
            answer = await gw.get(target, headers=headers)
            answer.must_be_problem("bad-request", 400)
            answer.must_have("WWW-Authenticate", challenge("There is more than one token.", "invalid_request"))
        gw.upstream.must_have_got(1)


async def test_a_token_of_8_kib_takes_no_time(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        worst = [f"{b64(b'[' * 2990)}.{'A' * 2000}.{'A' * 2000}", "." * 8192, "A." * 4096, "A" * 8192, "=" * 8000]
        for token in worst:
            before = time.thread_time()
            (await gw.get("/", headers={"Authorization": f"Bearer {token}"})).must_be(401)
            assert time.thread_time() - before < 0.05
