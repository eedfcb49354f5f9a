"""What a plugin is, and what it sees of the gateway it runs in."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from logging import Logger
from typing import Any, ClassVar, Final, Generic, Literal, Protocol, TypeVar

from attrs import frozen

from spork_core.clock import Chance, Clock
from spork_core.exchange import Exchange, Request, Response
from spork_core.metrics import Metric

C = TypeVar("C")
T = TypeVar("T")

OnFailure = Literal["closed", "open"]
BodyUse = Literal["none", "read", "change"]
"""What a plugin does with a body: leaves it alone, reads it and puts the same bytes back, or changes it."""


@frozen
class NoConfig:
    """The config of a plugin that has nothing to configure."""


class Plugin(Generic[C]):
    """Base of every plugin: one class, one instance for each entry of the config's ``plugins``.

    A subclass sets ``Config`` to a frozen attrs class (each field made by ``setting``) and implements hooks, each a
    ``def`` or ``async def`` marked ``@hookimpl``.
    """

    Config: ClassVar[type] = NoConfig
    """The attrs class that the instance's part of the config file is structured into."""
    provides: ClassVar[tuple[str, ...]] = ()
    """Capabilities that the instance gives to those behind it in the chain, e.g. ``identity``."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Capabilities that something before it in the chain must provide; otherwise the config is refused."""
    before: ClassVar[tuple[str, ...]] = ()
    """Capabilities whose providers, if in the chain, must come after this instance."""
    after: ClassVar[tuple[str, ...]] = ()
    """Capabilities whose providers, if in the chain, must come before this instance."""
    on_failure: ClassVar[OnFailure] = "closed"
    """What a crash or time-out of this plugin means when the config does not say: ``closed`` refuses the exchange with
    500, ``open`` goes on without it. Plugins that protect something stay ``closed``."""
    request_body: ClassVar[BodyUse] = "none"
    """What the plugin does with the client's content."""
    response_body: ClassVar[BodyUse] = "none"
    """What it does with the answer's content."""
    gives: ClassVar[tuple["ResourceKey[Any]", ...]] = ()
    """Resources that the instance sets in ``startup``. It starts before the instances that give nothing, wherever it
    stands in the config, and no other instance may give the same."""
    defers: ClassVar[tuple[str, ...]] = ()
    """Exchange hooks, each a ``def``, that may also answer with a coroutine, which is then awaited under a task of its
    own and gives the answer. What can be answered at once costs no task; ``async def`` always does. For hooks whose
    first answer counts (gates, and ``authenticate``, ``serve``, ``select_upstream``, ``should_retry``,
    ``on_error``)."""
    reads_timings: bool = False
    """True when it reads ``exchange.timings``; where nobody does, they are not kept. An instance may set its own, in
    ``__init__``."""
    overhead: ClassVar[float] = 100e-6
    """Seconds of its own time, waiting left out, that all its hooks together may take in an ordinary exchange; the
    contract kit holds it to that."""

    def __init__(self, config: C, name: str) -> None:
        """``config``: an instance of ``Config``. ``name``: the instance's name in the config file."""
        self.config = config
        self.name = name

    def hooks(self) -> Collection[str] | None:
        """The hooks that this instance's config needs, by name; the others are not compiled in. None: all it has."""
        return None

    def challenge(self) -> str | None:
        """The ``WWW-Authenticate`` challenge (RFC 9110 section 11.6.1) of an instance that authenticates."""
        return None

    def export_state(self) -> object:
        """What the next instance of this name is given when a reload changes the config. None: state is dropped. An
        instance whose config did not change lives on as it is."""
        return None

    def import_state(self, state: Any) -> None:
        """Takes over what the instance before this one exported; called after ``startup``, never with None."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class ResourceKey(Generic[T]):
    """The typed name of something instances share: ``gateway.resources[KEY]``. Equal only to itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"ResourceKey({self.name!r})"


class Resources:
    """What the instances of one snapshot share; set in ``startup`` by the one that provides it."""

    def __init__(self) -> None:
        self._values: dict[ResourceKey[Any], Any] = {}

    def __getitem__(self, key: ResourceKey[T]) -> T:
        try:
            value: T = self._values[key]
        except KeyError:
            raise LookupError(f"no instance provides the resource {key.name!r}") from None
        return value

    def __setitem__(self, key: ResourceKey[T], value: T) -> None:
        self._values[key] = value

    def __contains__(self, key: ResourceKey[Any]) -> bool:
        return key in self._values

    def copy(self) -> "Resources":
        """The same values, to be changed apart."""
        twin = Resources()
        twin._values = dict(self._values)
        return twin


@frozen
class LocalRoute:
    """A path that a plugin answers itself.

    ``handler`` may be async and gets the exchange. ``listener``: ``public`` runs the outer chain around it, ``admin``
    runs none.
    """

    path: str
    handler: Callable[[Exchange], Response | Awaitable[Response]]
    methods: tuple[str, ...] = ("GET",)
    listener: Literal["public", "admin"] = "admin"


class GatewayView(Protocol):
    """What a plugin sees of the gateway."""

    @property
    def resources(self) -> Resources:
        """What instances share."""

    @property
    def clock(self) -> Clock:
        """The time."""

    @property
    def chance(self) -> Chance:
        """Random values."""

    @property
    def log(self) -> Logger:
        """The kernel's logger; use a child of it (``gateway.log.getChild(self.name)``)."""

    @property
    def slot(self) -> int | None:
        """Which worker of a supervisor this process is, from 0; one that is started in the place of another has its
        number. None: there is only this process."""

    def collect(self) -> Iterable[Metric]:
        """The numbers of the kernel and of all instances, now. Names may come more than once, with other samples."""

    def event(self, kind: str, message: str, **facts: Any) -> None:
        """Tells of something that an operator would want to know: it is logged, kept for ``spork plugins`` and the
        admin listener, and given to every ``on_event``. ``kind``: a word; ``message``: a sentence; ``facts``:
        JSON-able."""

    async def send(self, service: str, request: Request) -> Response:
        """One request to ``service`` with its balancing, attempts and time limits, without any chain. Read or discard
        the response's body. Raises UpstreamProblem."""

    async def dispatch(self, request: Request) -> Response:
        """A whole exchange through the gateway's own routes and chains. Read or discard the response's body."""

    async def repeat(self, exchange: Exchange, request: Request) -> Response:
        """Asks the upstream of ``exchange`` once more, with ``request`` in place of its own, beside it or after it: an
        exchange of its own with the same route and identity, which begins at ``select_upstream``, takes the route's
        rewrite and attempts, and ends with ``on_complete``; no client gets its answer. ``request``: headers as hooks
        have left them. Read or discard the response's body. Raises UpstreamProblem, and NotFound when the route has
        gone."""


ENTRY_POINTS: Final = "spork.plugins"
"""The entry-point group in which distributions register plugins: ``name = package:Class``."""
