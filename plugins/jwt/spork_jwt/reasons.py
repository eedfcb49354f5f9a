"""Why a token is refused, and what the client is told then (RFC 6750 section 3)."""

from typing import Final

from spork_core.api import BadRequest, ClientProblem, Unauthenticated

REASONS: Final[dict[str, str]] = {
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
    "revoked": "The token was revoked.",
    "repeated": "There is more than one Authorization field.",
    "ambiguous": "There is more than one token.",
}
"""Reason → sentence for the client. They name no key, no claim and no value, and are safe in a header field."""


class Refused(Exception):
    """The token is not accepted. ``why``: one of REASONS."""

    def __init__(self, why: str) -> None:
        super().__init__(REASONS[why])
        self.why = why


class Challenges:
    """The ``WWW-Authenticate`` fields of one realm, made at load."""

    def __init__(self, realm: str) -> None:
        self.plain: Final = f'Bearer realm="{realm}"'
        """For who brings no token: without an error, as RFC 6750 section 3.1 wants it."""
        self._fields: dict[str, tuple[tuple[str, str], ...]] = {}
        for why, sentence in REASONS.items():
            error = "invalid_request" if why in {"repeated", "ambiguous"} else "invalid_token"
            challenge = f'{self.plain}, error="{error}", error_description="{sentence}"'
            self._fields[why] = (("WWW-Authenticate", challenge),)

    def problem(self, why: str) -> ClientProblem:
        """The answer: 401, or 400 for a request with several tokens in several places."""
        kind = BadRequest if why == "ambiguous" else Unauthenticated
        return kind(REASONS[why], headers=self._fields[why], reason=f"token refused: {why}")
