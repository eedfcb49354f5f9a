"""A request's content as it goes out: in chunks where its length is not known, and exactly as long as was said."""

import asyncio
import logging
from collections.abc import AsyncIterator

from spork_core.body import Body
from spork_core.errors import InternalError, Problem, UpstreamReset
from spork_core.headers import head_bytes

log = logging.getLogger("spork_core.upstream")


async def framed(body: Body) -> AsyncIterator[bytes]:
    """What to write. Raises InternalError when ``body`` is longer or shorter than its length: only code makes such."""
    left = body.length
    async for chunk in body:
        if not chunk:  # as a chunk it would end the body, and what follows would be the next request
            continue
        if left is None:
            yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
        else:
            left -= len(chunk)
            if left < 0:
                raise InternalError(reason="a request body longer than its length")
            yield chunk
    if left:
        raise InternalError(reason="a request body shorter than its length")
    if left is None:
        trailers = body.trailers
        yield b"0\r\n\r\n" if trailers is None else head_bytes("0", trailers)


def blamed(error: BaseException) -> Problem:
    """The problem that a request's content ran into. The client's content fails with a Problem; anything else but the
    end of the upload comes from a body that a plugin made, and is logged with its place."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, asyncio.CancelledError):
        return UpstreamReset(reason="the request was no longer wanted")
    log.error("a request body that a plugin made failed: %r", error, exc_info=error)
    problem = InternalError("The gateway could not serve this request.", reason=f"request body: {error!r}")
    problem.__cause__ = error
    return problem
