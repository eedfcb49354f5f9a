"""The demo's second backend: it answers with what it got, slowly, in pieces, or with any status."""

import asyncio
import json
from typing import Any, Final

from aiohttp import WSMsgType, web

_ASKED: web.AppKey[dict[str, int]] = web.AppKey("asked", dict)
"""How often something was asked for."""

_FORTUNES: Final = (
    "A gateway that is not there is the fastest of all, and nobody gets in.",
    "What you cache, you own.",
    "The second attempt is the first one's best friend, unless it was a payment.",
)


async def echo(request: web.Request) -> web.Response:
    """Method, target, headers and body of the request, as they arrived here."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "target": request.path_qs,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers],
            "body": body.decode("utf-8", "replace"),
        },
        dumps=lambda data: json.dumps(data, indent=1),
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """``?n=`` server-sent events, ``?every=`` seconds apart."""
    events, every = _number(request, "n", 5, 10_000), _seconds(request, "every", 1)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    for number in range(1, events + 1):
        await response.write(f'id: {number}\nevent: tick\ndata: {{"n": {number}, "of": {events}}}\n\n'.encode())
        if number < events:
            await asyncio.sleep(every)
    return response


async def drip(request: web.Request) -> web.StreamResponse:
    """A body of ``?bytes=`` bytes, one at a time, spread over ``?s=`` seconds."""
    size, seconds = _number(request, "bytes", 10, 1_000_000), _seconds(request, "s", 2)
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)})
    await response.prepare(request)
    for _ in range(size):
        await response.write(b"*")
        await asyncio.sleep(seconds / size)
    return response


async def slow(request: web.Request) -> web.Response:
    """An answer after ``?s=`` seconds."""
    seconds = _seconds(request, "s", 2)
    await asyncio.sleep(seconds)
    return web.json_response({"slept": seconds})


async def status(request: web.Request) -> web.Response:
    """An answer with the status in the path."""
    code = int(request.match_info["code"])
    if not 200 <= code <= 599:
        return web.json_response({"error": "a status is from 200 to 599"}, status=400)
    if code in (204, 304):
        return web.Response(status=code)
    return web.json_response({"status": code}, status=code)


async def fortune(request: web.Request) -> web.Response:
    """A sentence that may be kept for half a minute, by anybody; made anew for whoever asks."""
    number = request.app[_ASKED]["fortune"] = request.app[_ASKED].get("fortune", 0) + 1
    answer = web.json_response({"fortune": _FORTUNES[number % len(_FORTUNES)], "made": number})
    answer.headers["Cache-Control"] = "public, max-age=30, stale-while-revalidate=30"
    answer.etag = f"fortune-{number}"
    return answer


async def once(request: web.Request) -> web.Response:
    """503 at the first of two times, 200 at the second."""
    number = request.app[_ASKED]["once"] = request.app[_ASKED].get("once", 0) + 1
    if number % 2:
        return web.json_response({"error": "not yet"}, status=503)
    return web.json_response({"attempt": "the second"})


async def broken(_: web.Request) -> web.Response:
    """500, always."""
    return web.json_response({"error": "broken"}, status=500)


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Sends every message back."""
    socket = web.WebSocketResponse(heartbeat=30)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise _bad(f"{name} is a whole number from 0 to {most}")
    return min(int(text), most)


def _seconds(request: web.Request, name: str, default: float) -> float:
    try:
        seconds = float(request.query.get(name, default))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise _bad(f"{name} is a number of seconds from 0 to 3600")
    return seconds


def _bad(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": message}), content_type="application/json")


def application() -> web.Application:
    """The backend."""
    app: Any = web.Application(client_max_size=1024 * 1024)
    app[_ASKED] = {}
    app.add_routes(
        [
            web.get("/stream", stream),
            web.get("/drip", drip),
            web.get("/slow", slow),
            web.get("/ws", websocket),
            web.get("/fortune", fortune),
            web.get("/shaky/once", once),
            web.get("/shaky/broken", broken),
            web.route("*", r"/status/{code:\d{3}}", status),
            web.route("*", "/echo{rest:.*}", echo),
        ]
    )
    built: web.Application = app
    return built
