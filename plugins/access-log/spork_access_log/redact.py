"""What a log may not hold: which header and query names carry secrets, and how they are hidden."""

from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote_plus

HIDDEN: Final = "***"
"""What stands in place of a value."""

HEADERS: Final = frozenset(
    "authorization cookie proxy-authorization set-cookie x-amz-security-token x-api-key x-auth-token x-csrf-token "
    "x-forwarded-authorization x-id-token x-access-token x-xsrf-token api-key apikey".split()
)
"""Headers whose values are never logged."""

QUERY: Final = frozenset(
    "access_token api_key api-key apikey assertion auth authorization client_secret code code_verifier id_token jwt "
    "key password passwd pwd refresh_token secret session session_id sid sig signature state token x-amz-credential "
    "x-amz-security-token x-amz-signature".split()
)
"""Query parameters whose values are never logged."""


def no_query(_: str) -> None:
    """Leaves the query out."""


def names_only(query: str) -> str:
    """``a=1&b=2`` → ``a=***&b=***``. A part without ``=`` may itself be the secret and is hidden whole."""
    return "&".join(
        [f"{part.partition('=')[0]}={HIDDEN}" if "=" in part else part and HIDDEN for part in query.split("&")]
    )


def all_but(names: Iterable[str]) -> Callable[[str], str]:
    """Hides the values of ``names`` (lower case), however they are percent-encoded; ``;`` separates as ``&`` does."""
    hidden = frozenset(names)

    def some(query: str) -> str:
        if ";" in query:
            query = query.replace(";", "&")
        parts = []
        for part in query.split("&"):
            name, equals, _ = part.partition("=")
            secret = equals and unquote_plus(name).strip().lower() in hidden
            parts.append(f"{name}={HIDDEN}" if secret else part)
        return "&".join(parts)

    return some
