"""``spork jwt``: a token to try things with, and revocations, from the command line."""

import json
import time
from pathlib import Path
from typing import Any, Final

import click

from spork_jwt.asking import ask
from spork_jwt.minting import Signer, mint, unverified
from spork_jwt.settings_file import Settings, read_settings

_CONFIG: Final = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The config file; default: the one that spork run takes.",
)
_INSTANCE: Final = click.option("--instance", metavar="NAME", help="The instance; default: the only one of jwt.")


@click.group()
def jwt() -> None:
    """Make a token to try things with, and revoke tokens.

    \b
    Examples:
      spork jwt token --sub alice --scope "read write"
      curl -H "Authorization: Bearer $(spork jwt token)" http://127.0.0.1:8080/
      spork jwt revoke --subject alice
    """


@jwt.command()
@_CONFIG
@_INSTANCE
@click.option("--sub", default="tester", show_default=True, help="Who is calling.")
@click.option("--scope", default="", help="Scopes, with blanks between.")
@click.option("--role", "roles", multiple=True, help="A role; may be repeated.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="Another claim; JSON, or else text.")
@click.option("--expires", default=3600, show_default=True, help="Seconds until it does; less than 0: it has.")
@click.option("--key", type=click.Path(path_type=Path, exists=True), help="PEM file with a private key to sign with.")
@click.option("--algorithm", help="The algorithm; default: the first that the instance accepts and the key can do.")
@click.option("--kid", help="The name of the key.")
def token(
    file: Path | None,
    instance: str | None,
    sub: str,
    scope: str,
    roles: tuple[str, ...],
    claims: tuple[str, ...],
    expires: int,
    key: Path | None,
    algorithm: str | None,
    kid: str | None,
) -> None:
    """Print a token that the instance accepts.

    It is signed with the instance's secret. Where tokens are checked with a public key, name the private one: --key.
    """
    _, settings = _instance(file, instance)
    signer = Signer.of(settings, key, algorithm, kid)
    more = dict(_claim(text) for text in claims)
    click.echo(mint(settings, signer, sub=sub, scope=scope, roles=roles, more=more, now=time.time(), expires=expires))


@jwt.command()
@_CONFIG
@_INSTANCE
@click.option("--admin", metavar="URL", help="The admin listener; default: that of the config file.")
@click.option("--jti", help="Revoke the token with this id.")
@click.option("--subject", help="Revoke all tokens of this subject that were issued up to now.")
@click.option("--before", type=float, help="With --subject: those issued before this time, in seconds since 1970.")
@click.option("--token", "text", help="Revoke this token, by the id that it holds.")
def revoke(
    file: Path | None,
    instance: str | None,
    admin: str | None,
    jti: str | None,
    subject: str | None,
    before: float | None,
    text: str | None,
) -> None:
    """Have a running gateway refuse tokens that have not expired yet.

    The instance must have revocation: true. Exactly one of --jti, --subject and --token is needed.
    """
    if sum(given is not None for given in (jti, subject, text)) != 1:
        raise click.UsageError("Exactly one of --jti, --subject and --token is needed.")
    if before is not None and subject is None:
        raise click.UsageError("--before goes with --subject.")
    wanted: dict[str, Any] = {"jti": jti} if subject is None else {"subject": subject}
    if before is not None:
        wanted["before"] = before
    if text is not None:
        held = unverified(text)
        if "jti" not in held:
            raise click.ClickException("The token has no jti. Revoke its subject instead: --subject.")
        wanted = {name: held[claim] for name, claim in (("jti", "jti"), ("expires", "exp")) if claim in held}
    if instance is None or admin is None:
        instance, settings = _instance(file, instance)
        admin = admin or settings["admin"]
    status, said = ask(admin, "POST", f"/plugins/{instance}/revoke", wanted)
    if status == 404:
        raise click.ClickException(f'"{instance}" has no revocations there. Give it revocation: true, and reload.')
    if status != 200:
        raise click.ClickException(f"{admin} answered {status}: {said.strip()}")
    click.echo(json.dumps(json.loads(said)["revoked"]))


def _instance(file: Path | None, instance: str | None) -> tuple[str, Settings]:
    try:
        return read_settings(file, instance)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _claim(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f'"{text}" is no claim; write NAME=VALUE', param_hint="--claim")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
