"""What a config may not say: refused before anything serves, with where and the remedy, and never with the secret."""

from pathlib import Path
from typing import Any

import pytest

from spork_core.testing import gateway

SECRET = "n0t-a-secret-but-64-bytes-long-so-that-it-is-enough-for-hs512-too!!"
PEM = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----"
URL = "https://id.example.com/keys"
WHOSE = {"issuer": "https://id.example.com", "audience": "spork"}


async def refusal(settings: dict[str, Any]) -> str:
    """Why a gateway with these settings does not start."""
    with pytest.raises(Exception, match="jwt") as refused:
        async with gateway(plugins={"jwt": settings}):
            pass
    assert type(refused.value).__name__ == "ConfigError"
    return str(refused.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "exactly one source of keys is needed; write one of secret, secrets, public_key_file"),
        ({"secret": SECRET, "jwks_url": URL, **WHOSE}, "found secret and jwks_url; keep one"),
        ({"secret": SECRET, "algorithms": ["none"]}, "$.plugins.jwt.algorithms[0]"),
        ({"secret": SECRET, "algorithms": ["HS256", "RS256"]}, "RS256 is checked with a public key"),
        (
            {"public_key_file": "a.pem", "algorithms": ["HS256"]},
            "HS256 is checked with a secret, not with",
        ),
        ({"jwks_url": URL, "algorithms": ["ES256", "HS256"], **WHOSE}, "HS256 is checked with a secret"),
        ({"secret": "short"}, "HS256 needs 32 bytes or more, and it has 5; make one: openssl rand -base64 32"),
        ({"secret": SECRET[:32], "algorithms": ["HS256", "HS512"]}, "HS512 needs 64 bytes or more, and it has 32"),
        ({"secrets": {"new": SECRET, "old": "short"}}, "secrets.old: HS256 needs 32 bytes"),
        ({"secret": "a" * 64}, "it repeats itself"),
        ({"secret": PEM}, "it is a key of another kind, which many may know; write public_key_file"),
        ({"secret": "ssh-rsa " + "A" * 64}, "it is a key of another kind"),
        ({"secret": '{"kty": "oct", "k": "' + "A" * 64 + '"}'}, "it is a key of another kind"),
        ({"secret": SECRET, "secret_encoding": "base64"}, "it is not base64"),
        ({"secret": "c2VjcmV0" * 4, "secret_encoding": "base64"}, "HS256 needs 32 bytes or more, and it has 24"),
        ({"jwks_url": URL}, "jwks_url needs issuer and audience"),
        ({"jwks_url": "http://id.example.com/keys", **WHOSE}, "write https://"),
        ({"jwks_url": "http://127.0.0.1.example.com/keys", **WHOSE}, "write https://"),
        ({"jwks_url": "ftp://id.example.com/keys", **WHOSE}, "is not a URL; write it like https://"),
        ({"jwks_url": "https:///keys", **WHOSE}, "is not a URL"),
        ({"jwks_url": "https://[::1/keys", **WHOSE}, "is not a URL"),
        ({"jwks_url": "https://a:b@id.example.com/keys", **WHOSE}, "take out what stands before the @"),
        ({"secret": SECRET, "issuer": ["*", "a"]}, '"*" means any and stands alone'),
        ({"secret": SECRET, "audience": ""}, "audience holds an empty text"),
        ({"secret": SECRET, "leeway": "1h"}, "must be from 0s to 10m"),
        ({"secret": SECRET, "realm": 'a"b'}, "must be printable ASCII without quotes"),
        ({"secret": SECRET, "roles": "a..b"}, '"a..b" names no claim'),
        ({"secret": SECRET, "cookie": "a b"}, '"a b" cannot name a cookie'),
        ({"secret": SECRET, "forward": {"X User": "sub"}}, '"X User" is not a header name'),
        ({"secret": SECRET, "forward": {"X_User": "sub"}}, 'write "X-User"'),
        ({"secret": SECRET, "forward": {"Host": "sub"}}, '"Host" already means something in HTTP'),
        ({"secret": SECRET, "forward": {"Authorization": "sub"}}, '"Authorization" already means something'),
        ({"secret": SECRET, "forward": {"X-A": "a", "x-a": "b"}}, '"X-A" and "x-a" are the same field'),
        ({"secret": SECRET, "cache": {"size": "1B"}}, "must be from 64KiB to 4GiB"),
    ],
)
async def test_refused(settings: dict[str, Any], words: str) -> None:
    said = await refusal(settings)
    assert words in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory; write the path of a file that can be"),
        (b"", "it is no PEM of a public key"),
        (PEM.encode(), "it is no PEM of a public key"),
        (b"\xff" * 100, "it is no PEM of a public key"),
        (b"-----BEGIN PRIVATE KEY-----\n", "write its public half: openssl pkey -pubout"),
        (b"x" * (5 << 20), "is larger than 4194304 bytes"),
    ],
)
async def test_files_that_hold_no_key(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    said = await refusal({"public_key_file": f"{tmp_path}/key.pem"})
    assert words in said
    assert "public_key_file" in said


@pytest.mark.parametrize(
    ("kind", "algorithms", "words"),
    [
        ("RSA1024", ["RS256"], "its RSA key has 1024 bits; 2048 are the least"),
        ("RSA", ["ES256"], "none of ES256 takes its RSA key"),
        ("P-384", ["ES256"], "none of ES256 takes its EC key on P-384"),
        ("secp256k1", ["ES256"], "none of ES256 takes its EC key on secp256k1"),
        ("Ed25519", ["ES256", "RS256"], "none of ES256, RS256 takes its OKP key on Ed25519"),
    ],
)
async def test_keys_that_do_not_fit(of: Any, tmp_path: Path, kind: str, algorithms: list[str], words: str) -> None:
    (tmp_path / "key.pem").write_bytes(of("RS256", kind=kind).pem)
    assert words in await refusal({"public_key_file": f"{tmp_path}/key.pem", "algorithms": algorithms})


async def test_a_certificate_is_a_public_key(of: Any, tmp_path: Path) -> None:
    import trustme

    issued = trustme.CA().issue_cert("id.example.com")
    (tmp_path / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    issuer = of("ES256", kind="P-256")
    async with gateway(plugins={"jwt": {"public_key_file": f"{tmp_path}/cert.pem"}}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(401)


async def test_a_jwks_file_that_is_none(tmp_path: Path) -> None:
    for content, words in (("{", "it is no JSON"), ("[]", "it is no JSON Web Key Set"), ('{"keys":[]}', "no usable")):
        (tmp_path / "jwks.json").write_text(content)
        assert words in await refusal({"jwks_file": f"{tmp_path}/jwks.json"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/k", "http://[::1]:1/k", "http://localhost:1/k", URL])
async def test_urls_that_are_fetched(url: str) -> None:
    from spork_jwt import JwtConfig

    assert JwtConfig(jwks_url=url, issuer=("a",), audience=("b",)).jwks_url == url
