"""What may be an HMAC secret: long enough, and not a key of another kind that somebody mistook for one."""

import binascii
import re
from collections.abc import Iterable
from typing import Final, Literal

from spork_jwt.algorithms import ALGORITHMS

Encoding = Literal["text", "base64"]

_NO_SECRET: Final = re.compile(r"-----BEGIN |\s*(?:ssh-|ecdsa-sha2-)|\s*[{\[].*\"kty\"", re.DOTALL)
"""PEM, keys of OpenSSH and JWKs: a public key that is taken for a secret lets everybody sign."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_REPEATS: Final = 4
"""A secret of fewer different bytes is a filler that somebody forgot to replace."""


def secret_bytes(text: str, encoding: Encoding) -> bytes:
    """The key that ``text`` stands for. Raises ValueError, without the text, when it is not in that encoding."""
    if encoding == "text":
        return text.encode()
    if not _BASE64.fullmatch(text):
        raise ValueError("it is not base64; write it so, or secret_encoding: text")
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        raise ValueError("it is not base64; write it so, or secret_encoding: text") from None


def secret_problem(text: str, encoding: Encoding, algorithms: Iterable[str]) -> str | None:
    """Why ``text`` is no secret for ``algorithms``, with what to write instead; None when it is one."""
    if _NO_SECRET.match(text):
        return "it is a key of another kind, which many may know; write public_key_file or jwks_file for that"
    try:
        key = secret_bytes(text, encoding)
    except (ValueError, UnicodeEncodeError) as error:
        return "it is not text" if isinstance(error, UnicodeEncodeError) else str(error)
    for name in algorithms:
        least = ALGORITHMS[name].secret
        if len(key) < least:
            return f"{name} needs {least} bytes or more, and it has {len(key)}; make one: openssl rand -base64 {least}"
    if len(set(key)) < _REPEATS:
        return "it repeats itself, so that it can be guessed; make one: openssl rand -base64 48"
    return None
