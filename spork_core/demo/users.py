"""The demo's first backend: users in memory, to create, read, replace, change and delete."""

import re
from collections.abc import Mapping
from itertools import count
from typing import Any, Final

from aiohttp import web

User = dict[str, Any]

FIRST: Final = (
    {"name": "Ada Lovelace", "email": "ada@example.com"},
    {"name": "Grace Hopper", "email": "grace@example.com"},
)
"""Who is there at the start, with the ids 1 and 2."""

_FIELDS: Final = ("name", "email")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LONGEST: Final = 200


class Refusal(Exception):
    """What is wrong with a request: ``status``, a sentence, and the ``errors`` by field."""

    def __init__(self, status: int, detail: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors or {}


class Users:
    """The users, and the handlers that answer for them."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._users: dict[int, User] = {}
        for fields in FIRST:
            self._add(dict(fields))

    def _add(self, fields: User) -> User:
        number = next(self._ids)
        user = self._users[number] = {"id": number, **fields}
        return user

    async def index(self, request: web.Request) -> web.Response:
        """All users; ``?q=`` keeps those whose name or address holds the text."""
        wanted = request.query.get("q", "").lower()
        found = [user for user in self._users.values() if wanted in f"{user['name']} {user['email']}".lower()]
        return web.json_response({"users": found, "total": len(found)})

    async def create(self, request: web.Request) -> web.Response:
        """201 with the new user and its Location."""
        fields = await _content(request)
        self._check(fields, required=_FIELDS)
        user = self._add({name: fields[name] for name in _FIELDS})
        return web.json_response(user, status=201, headers={"Location": f"/users/{user['id']}"})

    async def read(self, request: web.Request) -> web.Response:
        """One user."""
        return web.json_response(self._find(request))

    async def replace(self, request: web.Request) -> web.Response:
        """The user with new values for all fields."""
        user = self._find(request)
        fields = await _content(request)
        self._check(fields, required=_FIELDS, own=user["id"])
        user.update(fields)
        return web.json_response(user)

    async def change(self, request: web.Request) -> web.Response:
        """The user with new values for the fields that are named."""
        user = self._find(request)
        fields = await _content(request)
        self._check(fields, own=user["id"])
        user.update(fields)
        return web.json_response(user)

    async def delete(self, request: web.Request) -> web.Response:
        """204 without content."""
        del self._users[self._find(request)["id"]]
        return web.Response(status=204)

    def _find(self, request: web.Request) -> User:
        text = request.match_info["id"]
        user = self._users.get(int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else None
        if user is None:
            raise Refusal(404, "There is no such user.")
        return user

    def _check(self, fields: User, *, required: tuple[str, ...] = (), own: int = 0) -> None:
        errors = {name: "is required" for name in required if name not in fields}
        errors |= {name: "is not a field of users" for name in fields if name not in _FIELDS}
        for name in _FIELDS:
            value = fields.get(name, "x@x.x")
            if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST:
                errors[name] = f"must be text of 1 to {_LONGEST} characters"
            elif name == "email" and not _EMAIL.fullmatch(value):
                errors[name] = "must be an e-mail address"
        if errors:
            raise Refusal(422, "Some fields are not valid.", errors)
        email = fields.get("email", "").lower()
        if any(user["email"].lower() == email for user in self._users.values() if user["id"] != own):
            raise Refusal(409, "Another user has this e-mail address.", {"email": "is taken"})


async def _content(request: web.Request) -> User:
    if request.content_type != "application/json":
        raise Refusal(415, "Send JSON, with Content-Type: application/json.")
    try:
        fields = await request.json()
    except ValueError:
        raise Refusal(400, "The content is not JSON.") from None
    if not isinstance(fields, dict):
        raise Refusal(422, "Send a JSON object.")
    return fields


@web.middleware
async def _refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except Refusal as refusal:
        members = {"title": refusal.detail, "status": refusal.status}
        return web.json_response(
            {**members, **({"errors": refusal.errors} if refusal.errors else {})},
            status=refusal.status,
            content_type="application/problem+json",
        )
    return response


def application() -> web.Application:
    """The backend, with its first users in it."""
    users = Users()
    app = web.Application(middlewares=[_refusals], client_max_size=64 * 1024)
    app.add_routes(
        [
            web.get("/users", users.index),
            web.post("/users", users.create),
            web.get("/users/{id}", users.read),
            web.put("/users/{id}", users.replace),
            web.patch("/users/{id}", users.change),
            web.delete("/users/{id}", users.delete),
        ]
    )
    return app
