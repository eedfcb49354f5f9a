"""The circuits on the admin listener: look at them, and hold one open or closed."""

import json
from collections.abc import Mapping
from typing import Any, Final

from spork_circuit_breaker.board import Board, Name, Scope
from spork_circuit_breaker.circuit import Forced
from spork_circuit_breaker.sharing import Held, Sharing
from spork_circuit_breaker.telling import told
from spork_core.api import BadRequest, Exchange, GatewayView, Response

_FRESH: Final = {"Cache-Control": "no-store"}
_MOST: Final = 64 * 1024
_WANTS: Final = ("open", "closed", "auto")
_REMEDY: Final = 'send JSON like {"service": "users", "endpoint": "http://127.0.0.1:9001", "state": "open"}'


class Desk:
    """Answers for one instance. ``scope``: what has circuits in it."""

    def __init__(self, instance: str, scope: Scope, board: Board, gateway: GatewayView) -> None:
        self._instance = instance
        self._scope = scope
        self._board = board
        self._gateway = gateway
        self.sharing: Sharing | None = None
        """Who tells the other workers; None: nobody can."""

    def told(self) -> dict[str, object]:
        """The circuits as JSON."""
        now = self._gateway.clock.monotonic_ns()
        return {
            "worker": self._gateway.slot,
            "shared": self.sharing is not None,
            "circuits": [told(circuit, now) for circuit in self._board],
        }

    async def answer(self, exchange: Exchange) -> Response:
        """All circuits; after a POST, with the one that it names held open or closed, or let go (``auto``). Raises
        BadRequest."""
        if exchange.request.method != "POST":
            return Response.json(self.told(), headers=_FRESH)
        wish = _wish(await exchange.request.body.read(_MOST))
        name, state = (wish["service"], wish.get("endpoint") or ""), wish["state"]
        if state != "auto" or name not in self._board.held:  # what is held can be let go, though it is gone by now
            self._check(*name)
        self._hold(name, None if state == "auto" else state)
        told = self.sharing is not None and await self.sharing.tell(self._board.held)
        return Response.json({"told_all_workers": told, **self.told()}, headers=_FRESH)

    def adopt(self, held: Held) -> None:
        """Holds these circuits and no others."""
        for name in self._board.held.keys() - held.keys():
            self._hold(name, None)
        for name, forced in held.items():
            if self._board.held.get(name) != forced:
                self._hold(name, forced)

    def _hold(self, name: Name, forced: Forced | None) -> None:
        service, endpoint = name
        self._board.force(service, endpoint, forced)
        what = f"endpoint {endpoint} of service {service}" if endpoint else f"service {service}"
        wish = f"{what} is held {forced}" if forced else f"{what} is let go"
        self._gateway.event(
            "circuit_forced",
            f"{self._instance}: {wish} by an operator",
            instance=self._instance,
            service=service,
            endpoint=endpoint or None,
            state=forced or "auto",
        )

    def _check(self, service: str, endpoint: str) -> None:
        """Refuses what has no circuit."""
        known = self._known()
        if service not in known:
            raise BadRequest(f"There is no service {json.dumps(service)}; services: {', '.join(sorted(known))}.")
        if not endpoint:
            if self._scope == "endpoint":
                raise BadRequest("Services have no circuits here; name an endpoint, or configure scope: both.")
            return
        if endpoint not in known[service]:
            urls = ", ".join(sorted(known[service]))
            raise BadRequest(f"The service has no endpoint {json.dumps(endpoint)}; it has {urls}.")
        if self._scope == "service":
            raise BadRequest("Endpoints have no circuits here; leave the endpoint out, or configure scope: both.")
        if self._scope == "both" and len(known[service]) == 1:
            raise BadRequest("The only endpoint of a service has the service's circuit; leave the endpoint out.")

    def _known(self) -> Mapping[str, set[str]]:
        """Each service and the URLs of its endpoints, which the kernel tells with the numbers of its pools."""
        known: dict[str, set[str]] = {}
        for metric in self._gateway.collect():
            if metric.name == "upstream_requests_waiting":
                for service, endpoint in metric.samples:
                    known.setdefault(service, set()).add(endpoint)
        return known


def _wish(data: bytes) -> dict[str, Any]:
    """What a POST asks for. Raises BadRequest."""
    try:
        wish = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest(f"That is no JSON; {_REMEDY}.") from None
    if not isinstance(wish, dict) or not isinstance(wish.get("service"), str):
        raise BadRequest(f"A service is missing; {_REMEDY}.")
    if not isinstance(wish.get("endpoint"), str | None):
        raise BadRequest(f"The endpoint is a URL; {_REMEDY}.")
    if wish.get("state") not in _WANTS:
        raise BadRequest(f"The state is one of {', '.join(_WANTS)}; {_REMEDY}.")
    return wish
