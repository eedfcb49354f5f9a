"""``spork jwt``: what it prints is let in by a running gateway, and what it revokes is not."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from ruamel.yaml import YAML
from spork_jwt.commands import jwt

from spork_core.testing import StillClock, gateway

CONFIG = """
plugins:
  staff:
    use: jwt
    secret: "${env:JWT_SECRET}"
    issuer: [https://id.example.com, https://other.example.com]
    audience: spork
    typ: at+jwt
    roles: realm_access.roles
    required: [email]
    revocation: true
  store: {use: redis}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str) -> Path:
    monkeypatch.setenv("JWT_SECRET", secret)
    path = tmp_path / "spork.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("SPORK_CONFIG", str(path))
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(jwt, arguments)


async def test_a_token_that_is_let_in_until_it_is_revoked(config: Path) -> None:
    staff = {**YAML(typ="safe").load(CONFIG)["plugins"]["staff"], "forward": {"X-Roles": "realm_access.roles"}}
    staff["secret"] = os.environ["JWT_SECRET"]
    made = run("token", "--sub", "ann", "--role", "a", "--role", "b", "--claim", "email=a@example.com")
    assert made.exit_code == 0, made.output
    headers = {"Authorization": f"Bearer {made.output.strip()}"}
    clock = StillClock(time.time())
    async with gateway(plugins={"staff": staff}, clock=clock, admin={"listen": "127.0.0.1:0"}) as gw:
        admin = str(gw.gateway.admin_addresses[0])

        async def revoke(*arguments: str) -> Result:
            return await asyncio.to_thread(run, "revoke", *arguments, "--admin", admin)

        (await gw.get("/", headers=headers)).must_be(200)
        gw.upstream.last.must_have("X-Roles", "a,b")
        revoked = await revoke("--token", made.output.strip())
        assert (revoked.exit_code, list(json.loads(revoked.output))) == (0, ["jti"])
        (await gw.get("/", headers=headers)).must_be(401).must_mention("revoked")
        for more in (("--subject", "bob"), ("--subject", "bob", "--before", "7"), ("--jti", "x")):
            assert (await revoke(*more)).exit_code == 0
        wrong = await revoke("--jti", "x", "--instance", "other")
        assert (wrong.exit_code, "no revocations there" in wrong.output) == (1, True)


def test_a_token_that_is_checked_with_a_public_key(tmp_path: Path, of: Any) -> None:
    private = of("ES384").private
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(private.private_bytes(*encoding))
    (tmp_path / "spork.yaml").write_text("plugins: {jwt: {public_key_file: a.pem, algorithms: [RS256, ES384]}}")
    made = run("token", "--config", f"{tmp_path}/spork.yaml", "--key", f"{tmp_path}/key.pem", "--kid", "k1")
    assert made.exit_code == 0, made.output
    assert pyjwt.get_unverified_header(made.output.strip()) == {"alg": "ES384", "kid": "k1", "typ": "JWT"}
    assert pyjwt.decode(made.output.strip(), private.public_key(), ["ES384"])["sub"] == "tester"


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("plugins: {}", ("token",), "has no instance of jwt"),
        ("plugins: {jwt: {}, b: {use: jwt}}", ("token",), "has jwt, b; name one: --instance"),
        ("plugins: {jwt: {}}", ("token", "--instance", "x"), 'has no instance "x" of jwt'),
        ("plugins: {jwt: {jwks_url: a}}", ("token",), "Name the private one: --key"),
        ("plugins: {jwt: {secret: '${env:NOT_THERE}'}}", ("token",), "has no variable NOT_THERE"),
        ("plugins: {jwt: {secret: '${file:not/there}'}}", ("token",), "cannot be read"),
        ("plugins: [", ("token",), "cannot be read"),
        ("plugins: {jwt: {secret: a}}", ("token", "--claim", "x"), "write NAME=VALUE"),
        ("plugins: {jwt: {}}", ("revoke",), "Exactly one of"),
        ("plugins: {jwt: {}}", ("revoke", "--jti", "a", "--subject", "b"), "Exactly one of"),
        ("plugins: {jwt: {}}", ("revoke", "--token", "x"), "That is no token"),
        ("plugins: {jwt: {}}", ("revoke", "--jti", "a", "--before", "7"), "--before goes with --subject"),
        ("admin: {listen: '127.0.0.1:1'}\nplugins: {jwt: {}}", ("revoke", "--jti", "a"), "No gateway answers at"),
    ],
)
def test_what_goes_wrong_is_a_sentence(tmp_path: Path, text: str, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "spork.yaml").write_text(text)
    said = run(*arguments, "--config", f"{tmp_path}/spork.yaml")
    assert said.exit_code in {1, 2}
    assert words in said.output
    assert "Traceback" not in said.output
