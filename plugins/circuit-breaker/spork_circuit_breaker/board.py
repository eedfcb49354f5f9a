"""All circuits of an instance: by name, and by the endpoint that a request goes to.

Rules of this file
1. A circuit belongs to a name, a service or one of its endpoints, and outlives the objects that stand for them: a
   service that a reload changes has new ones.
2. A name that no Endpoint stands for any more is gone, and its circuit with it, unless an operator holds it open or
   closed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal
from weakref import ref

from spork_circuit_breaker.circuit import Change, Circuit, Forced, Kin, Policy
from spork_circuit_breaker.windows import Window
from spork_core.api import Endpoint

Scope = Literal["service", "endpoint", "both"]
Name = tuple[str, str]
"""A service, and the URL of one of its endpoints, or "" for the whole service."""

_MOST_RESUMED: Final = 4096


class Spot:
    """Where a request to one endpoint is decided. ``service`` and ``own``: the circuits of the service and of the
    endpoint; None for one that is not kept."""

    __slots__ = ("circuits", "endpoint", "own", "service", "turn", "weight", "windows")

    def __init__(self, endpoint: Endpoint, service: Circuit | None, own: Circuit | None) -> None:
        self.service = service
        self.own = own
        self.circuits: tuple[Circuit, ...] = tuple(each for each in (service, own) if each is not None)
        self.windows: tuple[Window, ...] = tuple(each.window for each in self.circuits)
        self.weight = endpoint.weight
        self.turn = 0
        """Of the balancing while something is not as usual."""
        self.endpoint: ref[Endpoint] | None = None


class Board:
    """The circuits of one instance."""

    def __init__(
        self, scope: Scope, policy: Policy, chance: Callable[[], float], tell: Callable[[Circuit, Change], object]
    ) -> None:
        """``tell``: called after each change of a circuit."""
        self._scope = scope
        self._policy = policy
        self._chance = chance
        self._tell = tell
        self._circuits: dict[Name, Circuit] = {}
        self._uses: dict[Name, int] = {}
        self.spots: dict[int, Spot] = {}
        """By the ``id`` of an Endpoint that is alive: 0.05 µs where a WeakKeyDictionary takes 0.3."""
        self.unusual: dict[str, set[Circuit]] = {}
        """Service → those of its circuits that do not simply let every request pass; never another dictionary."""

    def spot(self, endpoint: Endpoint, choices: tuple[Endpoint, ...]) -> Spot:
        """Where requests to ``endpoint`` are decided. ``choices``: all endpoints of its service, () where nobody asked.

        In the scope ``both``, an endpoint that is alone has no circuit of its own: it would be the service's again.
        """
        found = self.spots.get(id(endpoint))
        if found is not None:
            return found
        scope = self._scope
        whole = (endpoint.service, "")
        single = (endpoint.service, endpoint.url)
        service = self._use(whole) if scope != "endpoint" else None
        own = self._use(single) if scope == "endpoint" or (scope == "both" and len(choices) > 1) else None
        self._sort_out(endpoint.service, choices)
        spot = Spot(endpoint, service, own)
        at, names = id(endpoint), [name for name, used in ((whole, service), (single, own)) if used is not None]

        def gone(_: object) -> None:
            del self.spots[at]
            for name in names:
                self._leave(name)

        spot.endpoint = ref(endpoint, gone)
        self.spots[at] = spot
        return spot

    def _use(self, name: Name) -> Circuit:
        self._uses[name] = self._uses.get(name, 0) + 1
        return self._circuit(name)

    def _circuit(self, name: Name) -> Circuit:
        found = self._circuits.get(name)
        if found is None:
            found = self._circuits[name] = Circuit(*name, self._policy, self._chance, self._changed)
        return found

    def _leave(self, name: Name) -> None:
        self._uses[name] -= 1
        if not self._uses[name]:
            del self._uses[name]
            self._drop_unused(name)

    def _drop_unused(self, name: Name) -> None:
        if name not in self._uses and self._circuits[name].forced is None:
            self._note(self._circuits.pop(name), usual=True)

    def _sort_out(self, service: str, choices: tuple[Endpoint, ...]) -> None:
        """Drops circuits that came from before a reload and whose endpoint the service does not have any more."""
        if choices:
            known = {"", *(each.url for each in choices)}
            for name in [name for name in self._circuits if name[0] == service and name[1] not in known]:
                self._drop_unused(name)

    def _changed(self, circuit: Circuit, change: Change) -> None:
        self._note(circuit, usual=circuit.usual)
        self._tell(circuit, change)

    def _note(self, circuit: Circuit, *, usual: bool) -> None:
        unusual = self.unusual.setdefault(circuit.service, set())
        if usual:
            unusual.discard(circuit)
        else:
            unusual.add(circuit)
        if not unusual:
            del self.unusual[circuit.service]

    # -- operators ----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Circuit]:
        """Those that requests use, and those that are not as usual, by name."""
        for name, circuit in sorted(self._circuits.items()):
            if name in self._uses or not circuit.usual:
                yield circuit

    def force(self, service: str, endpoint: str, forced: Forced | None) -> Circuit:
        """Holds a circuit open or closed. ``endpoint``: "" for the whole service. ``forced``: None lets it go."""
        name = (service, endpoint)
        circuit = self._circuit(name)
        circuit.force(forced)
        self._note(circuit, usual=circuit.usual)
        self._drop_unused(name)
        return circuit

    @property
    def held(self) -> dict[Name, Forced]:
        """The circuits that operators hold open or closed."""
        return {name: each.forced for name, each in self._circuits.items() if each.forced is not None}

    # -- reloads ------------------------------------------------------------------------------------

    def keep(self) -> Mapping[Name, Kin]:
        """The circuits, to be handed over."""
        return {name: circuit.keep() for name, circuit in self._circuits.items()}

    def resume(self, kept: Iterable[tuple[Name, Kin]]) -> None:
        """Goes on where the circuits of another board were."""
        for name, kin in kept:
            if len(self._circuits) >= _MOST_RESUMED:
                break
            if (self._scope == "service" and name[1]) or (self._scope == "endpoint" and not name[1]):
                continue
            circuit = self._circuit(name)
            circuit.resume(kin)
            self._note(circuit, usual=circuit.usual)
