"""A WebSocket client for the demo: sends one message and gives what comes back."""

import asyncio

from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType

from spork_core.errors import SporkError


async def send(url: str, message: str, seconds: float = 10.0) -> str:
    """What the server at ``url`` answers to ``message``. Raises SporkError."""
    try:
        async with (
            asyncio.timeout(seconds),
            ClientSession(timeout=ClientTimeout(total=None)) as session,
            session.ws_connect(url) as socket,
        ):
            await socket.send_str(message)
            answer = await socket.receive()
    except TimeoutError:
        raise SporkError(f"{url} did not answer within {seconds:g} s") from None
    except (ClientError, OSError, ValueError) as error:
        raise SporkError(f"{url} cannot be reached over WebSocket: {error}") from error
    if answer.type is not WSMsgType.TEXT:
        raise SporkError(f"{url} ended the connection instead of answering")
    return str(answer.data)
