"""The config: where keys come from, what a token must say, and what becomes of its claims."""

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from attrs import Attribute, frozen

from spork_core.api import FIELD_VALUE, TOKEN, Bytes, Seconds, Secret, setting
from spork_jwt.algorithms import ALGORITHMS, PUBLIC_DEFAULT, SECRET_DEFAULT, Name
from spork_jwt.secret_text import secret_problem

ANY: Final = "*"
"""As an issuer or audience: whatever the token says."""

KEY_SOURCES: Final = ("secret", "secrets", "public_key_file", "public_key_files", "jwks_file", "jwks_url")

_ONE_OR_MORE: Final = {"alone": True}
_NAMES: Final = {"names": True}
"""Metadata of settings whose URLs are names: nobody connects to an issuer or an audience."""
_MANAGED: Final = frozenset(
    "authorization connection content-encoding content-length content-type cookie date expect forwarded host "
    "keep-alive max-forwards proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    "upgrade via x-forwarded-for x-forwarded-host x-forwarded-proto".split()
)

Validator = Callable[[Any, "Attribute[Any]", Any], None]


def _within(least: float, most: float, words: str) -> Validator:
    """A validator: a number from ``least`` to ``most``; ``words`` say so. None passes."""

    def check(_: Any, _field: "Attribute[Any]", value: float | None) -> None:
        if value is not None and not least <= value <= most:
            raise ValueError(f"must be {words}")

    return check


def _texts(_: Any, field: "Attribute[Any]", values: tuple[str, ...]) -> None:
    if "" in values:
        raise ValueError(f"{field.name} holds an empty text; take it out")
    if ANY in values and len(values) > 1:
        raise ValueError('"*" means any and stands alone; take out the others, or "*"')


def _claim(_: Any, _field: "Attribute[Any]", path: str) -> None:
    if not path or "" in path.split("."):
        raise ValueError(f'"{path}" names no claim; write its name, or a path such as realm_access.roles')


def _claims(self: Any, field: "Attribute[Any]", paths: tuple[str, ...]) -> None:
    for path in paths:
        _claim(self, field, path)


def _realm(_: Any, _field: "Attribute[Any]", realm: str) -> None:
    if not realm or not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise ValueError("must be printable ASCII without quotes and backslashes, such as spork")
    if len(realm) > 128:
        raise ValueError("must have at most 128 characters")


def _name(_: Any, field: "Attribute[Any]", name: str | None) -> None:
    if name is not None and not TOKEN.fullmatch(name):
        raise ValueError(f'"{name}" cannot name a {field.name}; use letters, digits, hyphens and underscores')


def _forwarded(self: Any, field: "Attribute[Any]", fields: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, path in fields.items():
        if not TOKEN.fullmatch(name) or not FIELD_VALUE.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens, such as X-User-Id')
        if "_" in name:
            raise ValueError(
                f'"{name}" has an underscore, which many servers take for a hyphen; write "{name.replace("_", "-")}"'
            )
        if name.lower() in _MANAGED:
            raise ValueError(f'"{name}" already means something in HTTP; use a name of its own, such as X-User-Id')
        if other := seen.get(name.lower()):
            raise ValueError(f'"{other}" and "{name}" are the same field; keep one')
        seen[name.lower()] = name
        _claim(self, field, path)


def _fetched(_: Any, _field: "Attribute[Any]", url: str | None) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f'"{url}" is not a URL: {error}') from None
    if parts.scheme not in {"http", "https"} or not host or parts.fragment or not url.isascii() or " " in url:
        raise ValueError(f'"{url}" is not a URL; write it like https://id.example.com/.well-known/jwks.json')
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials in a URL end up in logs; take out what stands before the @")
    if parts.scheme == "http" and not _loopback(host):
        raise ValueError(f'whoever stands between here and "{host}" could put keys of his own there; write https://')


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@frozen
class JwksConfig:
    """How the keys of ``jwks_url`` are fetched and for how long they are good."""

    refresh: Seconds = setting(
        "Seconds after which the keys are fetched anew, beside the requests.",
        default=600.0,
        validator=_within(1, 86400, "from 1s to 1d"),
    )
    cooldown: Seconds = setting(
        "The least time between two fetches for tokens whose key is not known.",
        default=30.0,
        validator=_within(1, 3600, "from 1s to 1h"),
    )
    timeout: Seconds = setting("What one fetch may take.", default=5.0, validator=_within(0.1, 30, "from 100ms to 30s"))
    max_stale: Seconds = setting(
        "For how long the last good keys are used while the provider does not answer.",
        default=86400.0,
        validator=_within(60, 2592000, "from 1m to 30d"),
    )
    max_size: Bytes = setting(
        "The largest document that is read.",
        default=256 << 10,
        validator=_within(1 << 10, 4 << 20, "from 1KiB to 4MiB"),
    )
    max_keys: int = setting(
        "The most keys that a document may have.", default=100, validator=_within(1, 1000, "from 1 to 1000")
    )
    ca_file: Path | None = setting(
        "PEM file with the authorities that the provider's certificate must come from; none: those of the system.",
        default=None,
    )


@frozen
class CacheConfig:
    """How many verified tokens are remembered, and for how long."""

    entries: int = setting(
        "The most tokens; 0 remembers none.", default=10_000, validator=_within(0, 1_000_000, "from 0 to 1000000")
    )
    size: Bytes = setting(
        "The most memory that they and their claims may take.",
        default=64 << 20,
        validator=_within(64 << 10, 4 << 30, "from 64KiB to 4GiB"),
    )
    max_age: Seconds = setting(
        "After this time a token is verified again, also when it has not expired.",
        default=300.0,
        validator=_within(1, 86400, "from 1s to 1d"),
    )


@frozen
class JwtConfig:
    """Exactly one source of keys, what tokens must say, and what of them is passed on."""

    secret: Secret | None = setting("The secret that HS tokens are signed with.", default=None)
    secrets: dict[str, Secret] = setting("Several secrets by the kid that tokens name, for rotation.", factory=dict)
    secret_encoding: Literal["text", "base64"] = setting(
        "How secrets are written: as text, or as bytes in base64 or base64url.", default="text"
    )
    public_key_file: Path | None = setting("PEM file with a public key, or a certificate.", default=None)
    public_key_files: dict[str, Path] = setting(
        "Several such files by the kid that tokens name, for rotation.", factory=dict
    )
    jwks_file: Path | None = setting("File with a JSON Web Key Set (RFC 7517).", default=None)
    jwks_url: str | None = setting(
        "URL of the JSON Web Key Set of an identity provider; needs issuer and audience.",
        default=None,
        validator=_fetched,
    )
    jwks: JwksConfig = setting("How the keys of jwks_url are fetched.", default=JwksConfig())
    algorithms: tuple[Name, ...] = setting(
        "The algorithms that are accepted; empty: HS256 with secrets, and RS256, ES256 and EdDSA with public keys.",
        default=(),
    )
    issuer: tuple[str, ...] = setting(
        'Who may have issued a token (iss); "*": anybody; empty: it is not looked at.',
        default=(),
        validator=_texts,
        metadata={**_ONE_OR_MORE, **_NAMES},
    )
    audience: tuple[str, ...] = setting(
        'Whom a token must be meant for (aud), one of these; "*": anybody; empty: only tokens that do not say.',
        default=(),
        validator=_texts,
        metadata={**_ONE_OR_MORE, **_NAMES},
    )
    leeway: Seconds = setting(
        "By how much clocks may differ.", default=30.0, validator=_within(0, 600, "from 0s to 10m")
    )
    max_lifetime: Seconds | None = setting(
        "The longest time from a token's iat, or else from now, to its exp; null: any, with revocation 30d.",
        default=None,
        validator=_within(1, 3_153_600_000, "from 1s to 36500d"),
    )
    required: tuple[str, ...] = setting(
        "Claims that a token must have besides exp and the subject.", default=(), validator=_claims
    )
    typ: tuple[str, ...] = setting(
        "What the header's typ must be, one of these, such as at+jwt; empty: it is not looked at.",
        default=(),
        validator=_texts,
        metadata=_ONE_OR_MORE,
    )
    subject: str = setting("The claim that says who is calling.", default="sub", validator=_claim)
    scopes: str = setting(
        "The claim with the scopes, a text with blanks between or a list.", default="scope", validator=_claim
    )
    roles: str = setting(
        "The claim with the roles, as above; a path such as realm_access.roles looks inside.",
        default="roles",
        validator=_claim,
    )
    forward: dict[str, str] = setting(
        "Header fields to the service, each with the claim it gets; what clients send under these names is removed.",
        factory=lambda: {"X-User-Id": "sub"},
        validator=_forwarded,
    )
    strip: bool = setting("Take the token out of the request to the service.", default=False)
    realm: str = setting(
        "The realm of the challenge; instances of one realm share their revocations.", default="spork", validator=_realm
    )
    cookie: str | None = setting(
        "Take the token from this cookie, too, where there is no Authorization: Bearer.",
        default=None,
        validator=_name,
    )
    query: str | None = setting(
        "Take the token from this query parameter, too; URLs end up in logs and histories.",
        default=None,
        validator=_name,
    )
    cache: CacheConfig = setting("How verified tokens are remembered.", default=CacheConfig())
    revocation: bool = setting("Ask the store whether a token, or all of its subject, was revoked.", default=False)
    on_store_error: Literal["deny", "allow"] = setting(
        "What becomes of tokens that the store cannot be asked about: 503, or they pass.", default="deny"
    )
    recheck: Seconds = setting(
        "After this time the store is asked again about a remembered token, in case a message was lost.",
        default=30.0,
        validator=_within(1, 3600, "from 1s to 1h"),
    )

    def __attrs_post_init__(self) -> None:
        given = [name for name in KEY_SOURCES if getattr(self, name) not in (None, {})]
        if len(given) != 1:
            found = f"found {' and '.join(given)}; keep one" if given else f"write one of {', '.join(KEY_SOURCES)}"
            raise ValueError(f"exactly one source of keys is needed; {found}")
        _check_algorithms(self, given[0])
        if self.jwks_url is not None and not (self.issuer and self.audience):
            raise ValueError(
                "jwks_url needs issuer and audience, since a provider signs tokens for others, too; write them, "
                'or "*" for any'
            )

    @property
    def accepted(self) -> tuple[Name, ...]:
        """The algorithms that are accepted."""
        return self.algorithms or (SECRET_DEFAULT if self.secret or self.secrets else PUBLIC_DEFAULT)


def _check_algorithms(config: JwtConfig, source: str) -> None:
    """Binds the algorithms to the kind of key. Raises ValueError."""
    symmetric = [name for name in config.accepted if ALGORITHMS[name].kty == "oct"]
    public = [name for name in config.accepted if ALGORITHMS[name].kty != "oct"]
    if source in {"secret", "secrets"}:
        if public:
            raise ValueError(f"{public[0]} is checked with a public key, not with a secret; take it out of algorithms")
    elif symmetric and source != "jwks_file":
        raise ValueError(f"{symmetric[0]} is checked with a secret, not with a public key; take it out of algorithms")


def check_secrets(config: JwtConfig) -> None:
    """Refuses secrets that are too weak for the algorithms (RFC 7518 section 3.2), or are no secrets. Raises
    ValueError.

    Not a validator: where a secret is a reference, its text is not there wherever the config is read.
    """
    secrets = config.secrets if config.secret is None else {"": config.secret}
    for kid, secret in secrets.items():
        if problem := secret_problem(secret.reveal(), config.secret_encoding, config.accepted):
            raise ValueError(f"secrets.{kid}: {problem}" if kid else f"secret: {problem}")
