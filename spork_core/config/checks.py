"""What no single value can tell: names that must exist, chains that must fit, combinations that are unsafe."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from spork_core.config import patterns
from spork_core.config.faults import Fault, Path, suggest
from spork_core.config.model import Address, GatewayConfig, RouteConfig, ServiceConfig
from spork_core.units import ParseError, format_duration


class Checker:
    """Collects faults. A value that is faulty already is not looked at again; a resolved one is not shown."""

    def __init__(self, config: GatewayConfig, known: Collection[Fault], names: Mapping[str, Collection[str]]) -> None:
        """``names`` holds the services and plugins of the file, the faulty ones too."""
        self.config = config
        self.names = names
        self.faults: list[Fault] = []
        self._known = {canonical(fault.path) for fault in known}
        self._bad = {path[:depth] for path in self._known for depth in range(len(path) + 1)}

    def run(self) -> list[Fault]:
        self.top()
        self.listeners()
        for name, service in self.config.services.items():
            self.service(("services", name), service)
        for name, route in self.config.routes.items():
            self.route(("routes", name), route)
        return self.faults

    # -- tools ----------------------------------------------------------------------------------------

    def sound(self, *path: str | int) -> bool:
        """True when no fault is known at the path, above it or below it."""
        return path not in self._bad and not any(path[:depth] in self._known for depth in range(1, len(path)))

    def add(self, path: Path, message: str, remedy: str = "", at_key: bool = False) -> None:
        self.faults.append(Fault(path, message, remedy, at_key))

    def check(self, path: Path, check: Callable[..., Any], *args: Any, at_key: bool = False) -> Any:
        """Run one of ``patterns``; its refusal becomes a fault. Returns its result, None when it refuses."""
        if not self.sound(*path):
            return None
        try:
            return check(*args)
        except ParseError as exc:
            text = self.reference(path)
            if text is None:
                self.add(path, exc.message, exc.remedy, at_key)
            else:
                self.add(path, f"what {text} holds is not valid here")
            return None

    def reference(self, path: Path) -> str | None:
        """The reference a value came from, also when it is an item or field written in short."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.config.references:
                return self.config.references[path[:depth]]
        return None

    def exists(self, path: Path, name: str, kind: str) -> bool:
        if name in self.names[kind]:
            return True
        if self.sound(*path):
            what = {"plugins": "plugin instance", "services": "service"}[kind]
            text = self.reference(path)
            shown = f'"{name}"' if text is None else f"of the name in {text}"
            self.add(path, f"there is no {what} {shown}", suggest(name, self.names[kind], kind))
        return False

    # -- parts ----------------------------------------------------------------------------------------

    def top(self) -> None:
        config = self.config
        for kind in ("services", "plugins", "routes"):
            for name in self.names[kind]:
                self.check((kind, name), patterns.check_name, name, at_key=True)
        for index, network in enumerate(config.trusted_proxies):
            if network.prefixlen == 0:
                self.add(
                    ("trusted_proxies", index),
                    f"{network} lets every client choose its own address",
                    "name the networks of your proxies",
                )
        self.check(("forwarded", "via"), _check_via, config.forwarded.via)
        if config.errors.type_base is not None:
            self.check(("errors", "type_base"), _check_base, config.errors.type_base)
        self.chain(("chain",), config.chain, {})
        for name, instance in config.plugins.items():
            first, longest = instance.quarantine.pause, instance.quarantine.max_pause
            if longest < first:
                message = f"is {format_duration(longest)}, less than the first pause of {format_duration(first)}"
                path = ("plugins", name, "quarantine", "max_pause")
                self.add(path, message, "write a longer max_pause, or a shorter pause")
        if not config.attribution.hooks:
            self.unmeasured()

    def unmeasured(self) -> None:
        """What is made of times needs them."""
        remedy = "take it out, or write attribution: {hooks: true}"
        for name, instance in self.config.plugins.items():
            if instance.budget is not None:
                self.add(("plugins", name, "budget"), "a budget needs the times of hooks", remedy)
        for name, route in self.config.routes.items():
            if route.server_timing:
                self.add(("routes", name, "server_timing"), "Server-Timing needs the times of hooks", remedy)

    def listeners(self) -> None:
        seen: dict[Address, str] = {}
        places: list[tuple[Path, Address]] = []
        for index, listener in enumerate(self.config.listen):
            places.append((("listen", index), listener.address))
            if listener.tls is not None and not listener.tls.certificates and self.sound("listen", index):
                self.add(
                    ("listen", index, "tls"),
                    "TLS needs a certificate",
                    "add certificate and key",
                    at_key=True,
                )
        if not self.config.listen and self.sound("listen"):
            self.add(("listen",), "there is no listener", "name at least one address")
        admin = self.config.admin
        if admin is not None and self.sound("admin"):
            places.append((("admin", "listen"), admin.listen.address))
            if not admin.listen.address.is_loopback and not admin.allow_remote:
                self.add(
                    ("admin", "listen"),
                    f"{admin.listen.address} can be reached from other machines",
                    "listen on 127.0.0.1, or set admin.allow_remote: true",
                )
        for path, address in places:
            other = next((place for known, place in seen.items() if _clash(known, address)), None)
            if other is not None and self.sound(*path):
                self.add(path, f"{address} clashes with {other}", "give each listener its own address")
            seen.setdefault(address, f"{path[0]} {address}")

    def service(self, path: Path, service: ServiceConfig) -> None:
        urls: set[str] = set()
        for index, endpoint in enumerate(service.endpoints):
            place = (*path, "endpoints", index)
            self.check((*place, "url"), patterns.check_endpoint, endpoint.url)
            if endpoint.url in urls and self.sound(*place, "url"):
                self.add((*place, "url"), "the endpoint is there twice", "take one out, or use weight")
            urls.add(endpoint.url)
        if service.tls.server_name is not None:
            self.check((*path, "tls", "server_name"), patterns.check_authority, service.tls.server_name)
        tls = service.tls
        if self.sound(*path, "tls"):
            if tls.key is not None and tls.certificate is None:
                self.add((*path, "tls", "key"), "a key without its certificate", "add certificate")
            for field in ("ca", "certificate"):
                if not tls.verify and getattr(tls, field) is not None:
                    self.add(
                        (*path, "tls", "verify"),
                        f"verify: false makes {field} worthless: anybody can pose as the service",
                        "set verify: true and ca to the authority that signed the service's certificate",
                    )
                    break
        self.chain((*path, "chain"), service.chain, dict.fromkeys(self.config.chain, "the outer chain"))

    def chain(self, path: Path, chain: tuple[str, ...], before: Mapping[str, str]) -> None:
        """Names exist, and none is in the chain ``before`` (name to whose it is) or twice in this one."""
        seen = dict(before)
        for index, name in enumerate(chain):
            if not self.exists((*path, index), name, "plugins"):
                continue
            if name in seen and self.sound(*path):
                self.add(
                    (*path, index),
                    f'"{name}" is in {seen[name]} already',
                    "an exchange runs it once; take one out",
                )
            seen.setdefault(name, "this chain")

    def route(self, path: Path, route: RouteConfig) -> None:
        config = self.config
        for index, name in enumerate(route.without):
            place = (*path, "without", index)
            if self.exists(place, name, "plugins") and name not in config.chain and self.sound("chain"):
                brings = f"it brings {', '.join(config.chain)}" if config.chain else "it is empty"
                self.add(place, f'the outer chain does not bring "{name}"', brings)
        outer = [name for name in config.chain if name not in route.without]
        self.chain((*path, "chain"), route.chain, dict.fromkeys(outer, "the outer chain"))
        if route.service is None:
            if not outer and not route.chain and self.sound(*path):
                self.add(path, "nothing answers: no service and no plugin", "add service", at_key=True)
        elif self.exists((*path, "service"), route.service, "services"):
            service = config.services.get(route.service)
            twice = [name for name in route.chain if service and name in service.chain]
            for name in twice:
                self.add(
                    (*path, "chain", route.chain.index(name)),
                    f'"{name}" is in the chain of service "{route.service}" already',
                    "an exchange runs it once; take one out",
                )
        self.match(path, route)
        self.rewrite(path, route)

    def match(self, path: Path, route: RouteConfig) -> None:
        match = route.match
        for index, host in enumerate(match.host):
            self.check((*path, "match", "host", index), patterns.check_host, host)
        for index, method in enumerate(match.methods):
            self.check((*path, "match", "methods", index), patterns.check_method, method)
        for name, value in match.headers.items():
            self.check((*path, "match", "headers", name), patterns.check_field_name, name, at_key=True)
            self.check((*path, "match", "headers", name), patterns.check_matched_value, value)
        for name, value in match.query.items():
            self.check((*path, "match", "query", name), patterns.check_matched_value, value)

    def rewrite(self, path: Path, route: RouteConfig) -> None:
        rewrite = route.rewrite
        captures = self.check((*path, "match", "path"), patterns.check_path, route.match.path)
        if rewrite.path is not None and captures is not None:
            self.check((*path, "rewrite", "path"), patterns.check_target, rewrite.path, captures)
        for field in ("strip_prefix", "add_prefix"):
            prefix = getattr(rewrite, field)
            place = (*path, "rewrite", field)
            if prefix is None:
                continue
            self.check(place, patterns.check_prefix, prefix)
            if rewrite.path is not None and self.sound(*place):
                self.add(place, f"{field} and path exclude each other", "say it all in path")
        strip, place = rewrite.strip_prefix, (*path, "rewrite", "strip_prefix")
        refused = {fault.path for fault in self.faults}  # a prefix of a wrong form gets no second fault
        checked = strip is not None and captures is not None and self.sound(*place) and place not in refused
        if strip is not None and checked and not patterns.prefixes(strip, route.match.path):
            remedy = "it takes whole segments off the front, literal ones"
            self.add(place, "match.path does not begin with it", remedy)
        if rewrite.host is not None:
            self.check((*path, "rewrite", "host"), patterns.check_authority, rewrite.host)
        for name, value in rewrite.set_headers.items():
            place = (*path, "rewrite", "set_headers", name)
            self.check(place, patterns.check_changed_field, name, at_key=True)
            self.check(place, patterns.check_field_value, value)
        for index, name in enumerate(rewrite.remove_headers):
            self.check((*path, "rewrite", "remove_headers", index), patterns.check_changed_field, name)


def _check_via(via: str) -> None:
    """A pseudonym or a host with an optional port (RFC 9110 section 7.6.3)."""
    if not patterns.TOKEN.fullmatch(via):
        patterns.check_authority(via)


def _check_base(base: str) -> None:
    if not base or not base.isascii() or not base.isprintable() or " " in base:
        raise ParseError("not a URI", 'write it like "https://docs.example.com/errors/"')


def _clash(one: Address, other: Address) -> bool:
    """True when both cannot be bound: the same socket path, or the same port on overlapping hosts."""
    if one.path or other.path:
        return one.path == other.path
    if one.port != other.port or one.port == 0:
        return False
    return one.host == other.host or bool({one.host, other.host} & {"0.0.0.0", "::"})


def canonical(path: Path) -> Path:
    """The path of a value in the long form: a lone listener in its list, a certificate in its list."""
    if path[:1] == ("listen",) and len(path) > 1 and isinstance(path[1], str):
        path = (path[0], 0, *path[1:])
    if (
        path
        and path[0] in {"listen", "admin"}
        and path[-2:-1] == ("tls",)
        and path[-1] in {"certificate", "key", "password"}
    ):
        path = (*path[:-1], "certificates", 0, path[-1])
    return path
