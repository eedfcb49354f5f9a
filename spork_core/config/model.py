"""The config as frozen classes: what every other part of Spork reads, with its defaults and descriptions.

Durations are float seconds, sizes int bytes. Mappings are dicts that nobody changes after the load.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

import attrs

from spork_core.config.address import Address as Address  # noqa: PLC0414  the form of a re-export
from spork_core.config.fields import ALONE, INTERNAL, SHORTHAND, Secret, at_least, between, more_than, setting
from spork_core.config.policy import AttributionConfig, BudgetConfig, ExplainConfig, QuarantineConfig
from spork_core.units import Bytes, Seconds

Network = IPv4Network | IPv6Network


# -- listeners ----------------------------------------------------------------------------------------


@attrs.frozen
class Certificate:
    """A certificate chain and its private key, both PEM files."""

    certificate: Path = setting("The certificate chain, a PEM file. A relative path starts at the config file.")
    key: Path = setting("The private key, a PEM file.")
    password: Secret | None = setting("The password of the private key.", default=None)


@attrs.frozen
class ListenerTLS:
    """TLS of a listener. The first certificate whose names match the client's SNI is presented, else the first."""

    certificates: tuple[Certificate, ...] = setting("The certificates to choose from by SNI; at least one.")
    min_version: Literal["1.2", "1.3"] = setting("The oldest TLS version accepted.", default="1.2")
    client_ca: Path | None = setting(
        "A PEM file of authorities. When set, a client must present a certificate that one of them signed.",
        default=None,
    )


@attrs.frozen
class Listener:
    """One address to accept connections on, with or without TLS."""

    address: Address = setting('Where to listen: "host:port", "[v6]:port" or "unix:/path".', metadata={SHORTHAND: True})
    tls: ListenerTLS | None = setting("TLS of this listener; none for plain HTTP.", default=None)


@attrs.frozen
class Admin:
    """The admin listener: /livez, /readyz and what plugins add."""

    listen: Listener = setting(
        "Where the admin endpoints listen. SPORK_ADMIN_LISTEN overrides it.",
        default=Listener(Address("127.0.0.1", 8081)),
    )
    allow_remote: bool = setting(
        "Permit an address that other machines can reach. The admin endpoints have no access control of their own.",
        default=False,
    )


@attrs.frozen
class Limits:
    """What one client may use up."""

    connections: int = setting(
        "Open client connections per worker; more are answered 503 and closed.",
        default=10_000,
        validator=at_least(1),
    )
    request_line: Bytes = setting(
        "The request line; longer ones are answered 414.", default=8192, validator=at_least(64)
    )
    header: Bytes = setting("One header field; longer ones are answered 431.", default=16384, validator=at_least(64))
    header_count: int = setting(
        "Header fields of a request; more are answered 431.", default=100, validator=at_least(1)
    )
    headers: Bytes = setting("All header fields together; more is answered 431.", default=65536, validator=at_least(64))
    body: Bytes | None = setting(
        "A request body, unless the route says otherwise; longer ones are answered 413. null: no limit.",
        default=None,
    )


@attrs.frozen
class ClientTimeouts:
    """How long to wait for a client."""

    header: Seconds = setting(
        "From the first byte of a request's head to its end; then 408.", default=10.0, validator=more_than(0)
    )
    body: Seconds = setting("Between two reads of a request body; then 408.", default=30.0, validator=more_than(0))
    write: Seconds = setting(
        "For a client that does not read its answer; then the connection is closed.",
        default=60.0,
        validator=more_than(0),
    )
    keep_alive: Seconds = setting("An idle connection between two requests. 0: close after each.", default=75.0)
    drain: Seconds = setting("Grace for running exchanges at stop and reload.", default=30.0)
    tls_handshake: Seconds = setting("For the TLS handshake of a client.", default=10.0, validator=more_than(0))


@attrs.frozen
class ForwardedConfig:
    """What a request to a service says about its way."""

    x_forwarded: bool = setting("Send X-Forwarded-For, -Proto, -Host and -Port.", default=True)
    forwarded: bool = setting("Send Forwarded (RFC 7239) too.", default=False)
    via: str = setting("The name of this gateway in Via (RFC 9110 section 7.6.3).", default="spork")


@attrs.frozen
class ErrorsConfig:
    """How problems are rendered."""

    type_base: str | None = setting(
        "Prefix of the type member of problem+json, such as https://docs.example.com/errors/. null: about:blank.",
        default=None,
    )


# -- services -----------------------------------------------------------------------------------------


@attrs.frozen
class EndpointConfig:
    """One address of a service."""

    url: str = setting(
        'The origin, without a path: "http://host:port", "https://host:port" or "unix:/path".',
        metadata={SHORTHAND: True},
    )
    weight: int = setting(
        "Its share of the requests beside the other endpoints.", default=1, validator=between(1, 10_000)
    )


@attrs.frozen
class UpstreamTimeouts:
    """How long to wait for an endpoint; then 504."""

    connect: Seconds = setting("For a connection, TLS included.", default=5.0, validator=more_than(0))
    response: Seconds = setting(
        "From the end of the request to the head of the response.", default=15.0, validator=more_than(0)
    )
    idle: Seconds = setting("Between two reads or two writes of a body.", default=300.0, validator=more_than(0))
    total: Seconds | None = setting(
        "For the whole exchange, all attempts included. null: no limit.", default=None, validator=more_than(0)
    )


@attrs.frozen
class TimeoutOverrides:
    """The timeouts of one route; what is not set comes from its service."""

    connect: Seconds | None = setting("For a connection, TLS included.", default=None, validator=more_than(0))
    response: Seconds | None = setting(
        "From the end of the request to the head of the response.", default=None, validator=more_than(0)
    )
    idle: Seconds | None = setting("Between two reads or two writes of a body.", default=None, validator=more_than(0))
    total: Seconds | None = setting(
        "For the whole exchange, all attempts included.", default=None, validator=more_than(0)
    )


@attrs.frozen
class PoolConfig:
    """The connections kept to an endpoint."""

    connections: int = setting("Connections to one endpoint per worker.", default=1024, validator=at_least(1))
    pending: int = setting(
        "Requests that may wait for a connection; more are answered 503.", default=1024, validator=at_least(0)
    )
    idle: Seconds = setting("How long an unused connection is kept. 0: not at all.", default=55.0)
    max_age: Seconds | None = setting(
        "How old a connection may grow before it is replaced. null: no limit.",
        default=None,
        validator=more_than(0),
    )


@attrs.frozen
class UpstreamTLS:
    """TLS to the https endpoints of a service."""

    verify: bool = setting("Check the endpoint's certificate and name.", default=True)
    ca: Path | None = setting("A PEM file of authorities to trust instead of the system's.", default=None)
    certificate: Path | None = setting("The client certificate to present, a PEM file.", default=None)
    key: Path | None = setting("Its private key; null when it stands in the certificate's file.", default=None)
    server_name: str | None = setting("The name to send as SNI and to verify; null: the endpoint's host.", default=None)


@attrs.frozen
class ResolveConfig:
    """How the host names of endpoints are looked up."""

    refresh: Seconds = setting("How long a looked-up address is used.", default=30.0, validator=more_than(0))


@attrs.frozen
class ServiceConfig:
    """A named set of endpoints with one policy."""

    endpoints: tuple[EndpointConfig, ...] = setting("The addresses of the service: URLs, or {url, weight}.")
    timeouts: UpstreamTimeouts = setting("How long to wait for an endpoint.", default=UpstreamTimeouts())
    pool: PoolConfig = setting("The connections kept to each endpoint.", default=PoolConfig())
    tls: UpstreamTLS = setting("TLS to https endpoints.", default=UpstreamTLS())
    resolve: ResolveConfig = setting("How host names are looked up.", default=ResolveConfig())
    chain: tuple[str, ...] = setting("Plugin instances of this service, after the route's.", default=())


# -- routes -------------------------------------------------------------------------------------------


@attrs.frozen
class MatchConfig:
    """What a request must look like to take a route; all that is set must hold."""

    host: tuple[str, ...] = setting(
        'Host names, any of them: "api.example.com"; "*.example.com" for names that end so. Empty or "*": all.',
        default=(),
        converter=lambda hosts: tuple(host.lower() for host in hosts),
        metadata={ALONE: True},
    )
    path: str = setting(
        'The path: "/exact", "/prefix/*" (also "/prefix" itself), "/users/{id}" (one segment) or "~regex".',
        default="/*",
    )
    methods: tuple[str, ...] = setting("Methods, any of them. Empty: any method.", default=())
    headers: dict[str, str] = setting(
        'Header fields: name to exact value, "~regex", or "*" for any value.', factory=dict
    )
    query: dict[str, str] = setting('Query parameters: name to exact value, "~regex", or "*".', factory=dict)


@attrs.frozen
class RewriteConfig:
    """How the request to the service differs from the client's."""

    strip_prefix: str | None = setting("Whole segments to take off the front of the path.", default=None)
    add_prefix: str | None = setting("What to put before the path, after strip_prefix.", default=None)
    path: str | None = setting(
        "The whole new path; may use the captures of match.path, and {rest} for what its /* matched.",
        default=None,
    )
    host: str | None = setting("The Host to send. null: the client's.", default=None)
    set_headers: dict[str, str] = setting("Header fields to set on the request.", factory=dict)
    remove_headers: tuple[str, ...] = setting("Header fields to remove from the request.", default=())


@attrs.frozen
class RouteConfig:
    """A match, and where its requests go."""

    match: MatchConfig = setting("Which requests take this route; {} for all.")
    service: str | None = setting("The service to forward to. null: a plugin answers.", default=None)
    rewrite: RewriteConfig = setting("What to change on the way to the service.", default=RewriteConfig())
    chain: tuple[str, ...] = setting("Plugin instances of this route, after the outer chain.", default=())
    without: tuple[str, ...] = setting("Instances of the outer chain that this route leaves out.", default=())
    authenticate: Literal["required", "optional"] | None = setting(
        "Whether a caller must be known. null: required when a plugin of the chain authenticates.",
        default=None,
    )
    timeouts: TimeoutOverrides | None = setting("Timeouts that differ from the service's.", default=None)
    body_limit: Bytes | None = setting("The longest request body. null: limits.body.", default=None)
    priority: int = setting("Decides between routes that match equally well; the higher one wins.", default=0)
    upgrade: bool = setting("Let clients upgrade the connection, as WebSocket does.", default=True)
    server_timing: bool = setting(
        "Tell the client in Server-Timing what each instance and the service took.", default=False
    )


# -- the whole ----------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class InstanceConfig:
    """A plugin with a config and a name. Equal ones may be carried over a reload with their state."""

    name: str = setting("The key of the instance under plugins.")
    use: str = setting("The plugin; the name of the instance unless set.")
    enabled: bool = setting("Switch the instance off without taking it out of the chains.", default=True)
    on_failure: Literal["closed", "open"] | None = setting(
        "When it fails: refuse the exchange (closed) or go on without it (open). null: the plugin's own default.",
        default=None,
    )
    timeout: Seconds | None = setting(
        "For one hook of the instance. null: no limit.", default=None, validator=more_than(0)
    )
    budget: BudgetConfig | None = setting(
        "What all its hooks together may take in one exchange. null: no limit.", default=None
    )
    quarantine: QuarantineConfig = setting("When it is left out because it keeps failing.", default=QuarantineConfig())
    settings: object = attrs.field(default=None, metadata={INTERNAL: True})
    """An object of the plugin's own config class; None when the plugin has none."""

    def __repr__(self) -> str:
        return f"<InstanceConfig {self.name} use={self.use}{'' if self.enabled else ' disabled'}>"


@attrs.frozen(repr=False)
class GatewayConfig:
    """Everything one config file says, checked."""

    listen: tuple[Listener, ...] = setting(
        'Where clients connect: "host:port", "unix:/path", {address, tls}, or a list of those. SPORK_LISTEN overrides '
        "the addresses (commas between them).",
        default=(Listener(Address("127.0.0.1", 8080)),),
        metadata={ALONE: True},
    )
    admin: Admin | None = setting("The admin listener; null switches it off.", default=Admin())
    trusted_proxies: tuple[Network, ...] = setting(
        "Networks whose X-Forwarded-* and Forwarded are believed.", default=()
    )
    workers: int | Literal["auto"] = setting(
        "Processes that serve; auto: one for each usable CPU. SPORK_WORKERS overrides it.",
        default=1,
        validator=between(1, 1024),
    )
    limits: Limits = setting("What one client may use up.", default=Limits())
    timeouts: ClientTimeouts = setting("How long to wait for a client.", default=ClientTimeouts())
    forwarded: ForwardedConfig = setting("What services learn about the way of a request.", default=ForwardedConfig())
    errors: ErrorsConfig = setting("How problems are rendered.", default=ErrorsConfig())
    attribution: AttributionConfig = setting("Who took how long.", default=AttributionConfig())
    explain: ExplainConfig | None = setting(
        "Answer requests that bring a signed X-Spork-Explain with what became of them. null: no such thing.",
        default=None,
    )
    services: dict[str, ServiceConfig] = setting("Named sets of endpoints.", factory=dict)
    plugins: dict[str, InstanceConfig] = setting("Named plugin instances; use defaults to the name.", factory=dict)
    chain: tuple[str, ...] = setting("Plugin instances of every route, in order.", default=())
    routes: dict[str, RouteConfig] = setting("Named routes; their order decides nothing.", factory=dict)
    references: dict[tuple[str | int, ...], str] = attrs.field(factory=dict, eq=False, metadata={INTERNAL: True})
    """The text, such as "${env:KEY}", of every value that came from the environment or a file, by its path."""

    def __repr__(self) -> str:
        counts = f"{len(self.services)} services, {len(self.plugins)} plugins, {len(self.routes)} routes"
        return f"<GatewayConfig {', '.join(map(str, (x.address for x in self.listen)))}: {counts}>"
