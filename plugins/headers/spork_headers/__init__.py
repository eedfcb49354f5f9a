"""Sets, adds, removes and renames header fields of requests and responses, with values from the exchange."""

from collections.abc import Mapping
from typing import ClassVar

from spork_core.api import Exchange, Plugin, hookimpl
from spork_core.api import Headers as Fields
from spork_headers.config import Changes, HeadersConfig, RequestChanges, ResponseChanges
from spork_headers.templates import Template

__all__ = ["Headers", "HeadersConfig", "RequestChanges", "ResponseChanges"]

Filled = tuple[tuple[str, Template], ...]


class Headers(Plugin[HeadersConfig]):
    """Two compiled lists of changes, one for each way; a way without changes has no hook."""

    Config: ClassVar[type] = HeadersConfig

    def __init__(self, config: HeadersConfig, name: str) -> None:
        super().__init__(config, name)
        self._request = Compiled(config.request)
        self._response = Compiled(config.response)

    def hooks(self) -> tuple[str, ...]:
        ways = (("on_request", self.config.request), ("on_response", self.config.response))
        return tuple(hook for hook, changes in ways if changes != type(changes)())

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        self._request.apply(exchange.request.headers, exchange)

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        self._response.apply(exchange.response.headers, exchange)


class Compiled:
    """Changes made flat: values without names are ready fields, applied by one call of C each."""

    __slots__ = (
        "_add",
        "_added",
        "_default",
        "_defaults",
        "_managed",
        "_prefixes",
        "_remove",
        "_rename",
        "_set",
        "_sets",
    )

    def __init__(self, changes: Changes) -> None:
        self._remove = tuple(name for name in changes.remove if not name.endswith("*"))
        self._prefixes = tuple(name[:-1].lower() for name in changes.remove if name.endswith("*"))
        self._managed = frozenset(changes.managed)
        self._rename = tuple(changes.rename.items())
        self._set, self._sets = _split(changes.set, changes.responding)
        self._default, self._defaults = _split(changes.default, changes.responding)
        self._add, self._added = _split(changes.add, changes.responding)

    def apply(self, headers: Fields, exchange: Exchange) -> None:
        """Changes ``headers`` in place."""
        for name in self._remove:
            if name in headers:
                del headers[name]
        if self._prefixes:
            self._sweep(headers)
        for old, new in self._rename:
            if old in headers:
                values = headers.popall(old)
                headers.popall(new, None)
                headers.extend((new, value) for value in values)
        if self._set:
            headers.update(self._set)
        for name, template in self._sets:
            value = template.fill(exchange)
            if value is not None:
                headers[name] = value
            elif name in headers:
                del headers[name]  # what the client sent must not pass for what the gateway would have said
        if self._default:
            headers.merge(self._default)
        for name, template in self._defaults:
            if name not in headers and (value := template.fill(exchange)) is not None:
                headers[name] = value
        if self._add:
            headers.extend(self._add)
        for name, template in self._added:
            if (value := template.fill(exchange)) is not None:
                headers.add(name, value)

    def _sweep(self, headers: Fields) -> None:
        prefixes, managed = self._prefixes, self._managed
        for name in [name for name in headers if name.lower().startswith(prefixes)]:
            if name.lower() not in managed:
                headers.popall(name, None)  # a repeated field is in the list more than once


def _split(values: Mapping[str, str], responding: bool) -> tuple[Fields, Filled]:
    """Fields whose values are fixed, and those to fill in for each exchange."""
    fixed, filled = Fields(), []
    for name, text in values.items():
        template = Template(text, responding=responding)
        if template.fixed is None:
            filled.append((name, template))
        else:
            fixed[name] = template.fixed
    return fixed, tuple(filled)
