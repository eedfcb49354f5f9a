"""``POST /plugins/NAME/revoke`` on the admin listener: ``{"jti": …}`` or ``{"subject": …}``."""

import json
from typing import Any, Final

from spork_core.api import BadRequest, Exchange, Response
from spork_jwt.claims import LATEST
from spork_jwt.revocations import Revocations

_LARGEST: Final = 16 << 10
_LONGEST: Final = 4096
_MEMBERS: Final = frozenset(("jti", "subject", "before", "expires"))
_USAGE: Final = 'write {"jti": "…"}, with "expires" if you know it, or {"subject": "…"}, with "before" if not now'


async def revoked_by_request(exchange: Exchange, revocations: Revocations, now: float) -> Response:
    """Revokes what the request says. ``now``: seconds since the epoch. Raises BadRequest and StoreDown."""
    request = exchange.request
    # A page in an operator's browser can post to a local address, but not with this type.
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("The content must be application/json.")
    wanted = _wanted(await request.body.read(_LARGEST))
    if "jti" in wanted:
        expires = _time(wanted, "expires", None)
        if expires is not None and expires <= now:
            raise BadRequest('"expires" is past: that token is refused anyway.')
        await revocations.revoke_token(wanted["jti"], None if expires is None else expires - now + 600)
        return Response.json({"revoked": {"jti": wanted["jti"]}})
    before = _time(wanted, "before", now)
    assert before is not None
    holds = await revocations.revoke_subject(wanted["subject"], before)
    return Response.json({"revoked": {"subject": wanted["subject"], "before": holds}})


def _wanted(content: bytes) -> dict[str, Any]:
    try:
        wanted = json.loads(content)
    except (ValueError, RecursionError):
        raise BadRequest(f"The content is no JSON; {_USAGE}.") from None
    if not isinstance(wanted, dict) or not wanted.keys() <= _MEMBERS or ("jti" in wanted) == ("subject" in wanted):
        raise BadRequest(f"Exactly one of jti and subject is needed; {_USAGE}.")
    kind, other = ("jti", "before") if "jti" in wanted else ("subject", "expires")
    text = wanted[kind]
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST or other in wanted:
        raise BadRequest(f'"{kind}" must be a text, without "{other}"; {_USAGE}.')
    return wanted


def _time(wanted: dict[str, Any], name: str, default: float | None) -> float | None:
    value = wanted.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < LATEST:
        raise BadRequest(f'"{name}" must be a number of seconds since 1970.')
    return float(value)
