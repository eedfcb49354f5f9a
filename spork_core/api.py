"""The plugin author's one door: everything a plugin may use of the kernel.

A plugin imports from here and from third parties only; what is not here may change without notice.
"""

from spork_core.body import EMPTY, Body, BytesBody, IteratorBody
from spork_core.clock import Chance, Clock
from spork_core.config.fields import Secret, setting
from spork_core.errors import (
    BadRequest,
    ClientDisconnected,
    ClientProblem,
    ExpectationFailed,
    Forbidden,
    HeadersTooLarge,
    InternalError,
    LengthRequired,
    MethodNotAllowed,
    Misdirected,
    NotFound,
    NotImplementedByGateway,
    Overloaded,
    PayloadTooLarge,
    PluginFailed,
    Problem,
    RequestTimeout,
    Source,
    SporkError,
    TooManyRequests,
    Unauthenticated,
    UpstreamConnectFailed,
    UpstreamMalformed,
    UpstreamProblem,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamUnavailable,
    UriTooLong,
    VersionNotSupported,
)
from spork_core.exchange import (
    Attempt,
    Endpoint,
    Exchange,
    Identity,
    Outcome,
    Request,
    Response,
    RouteInfo,
    StateKey,
)
from spork_core.headers import FIELD_VALUE, TOKEN, Headers
from spork_core.hookspecs import GATEWAY_HOOKS, KINDS, hookimpl
from spork_core.plugin import (
    GatewayView,
    LocalRoute,
    NoConfig,
    OnFailure,
    Plugin,
    ResourceKey,
    Resources,
)
from spork_core.units import Bytes, Rate, Seconds

__all__ = [name for name in dir() if not name.startswith("_")]
