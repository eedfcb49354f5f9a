"""What an explanation may not show: credentials of clients, by the names they travel under, and the config's secrets.

Rules of this file
1. A name that sounds like a credential has its value hidden, in header fields and in queries: showing too little costs
   a look elsewhere, showing too much cannot be taken back.
2. Whatever the config marks as a Secret is hidden wherever it turns up, be it in the message of an exception.
3. What a plugin's config, or a header it sets, takes from the environment or a file is shown as ``spork config`` does:
   by the reference.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import attrs

from spork_core.config.fields import REDACTED, Secret
from spork_core.config.model import GatewayConfig
from spork_core.headers import Headers

T = TypeVar("T")

_SHORTEST: Final = 4
"""Characters; anything shorter would be found in ordinary words."""
_SENSITIVE: Final = re.compile(
    "authorization|cookie|token|secret|passw|passphrase|credential|signature|session|jwt|csrf|xsrf|apikey|xauth"
    "|(?:^|[^a-z0-9])(?:auth|keys?|sig|pwd|sid|otp|pin|assertion|saml)(?:$|[^a-z0-9])",
    re.IGNORECASE,
)
_OF_QUERIES: Final = frozenset(("code",))
"""OAuth's; in the name of a header field it is a status."""
_HARMLESS: Final = frozenset(("idempotency-key", "surrogate-key", "sec-websocket-key"))
_PAIR: Final = re.compile(r"(?<=[?&;#])([^=&;#\s\"<>]+)=([^&;#\s\"<>]*)")
_USERINFO: Final = re.compile(r"(?<=://)[^/?#@\s\"<>]+(?=@)")


def sensitive(name: str) -> bool:
    """True when a header field or a parameter of this name holds a credential, by the sound of it."""
    lower = name.lower()
    return lower not in _HARMLESS and not lower.startswith("access-control-") and bool(_SENSITIVE.search(lower))


def _sensitive_parameter(name: str) -> bool:
    return name.lower() in _OF_QUERIES or sensitive(name)


def shown_target(text: str) -> str:
    """A URL, or a text with URLs in it, without the credentials of their queries and authorities."""
    if "=" in text:
        text = _PAIR.sub(lambda pair: f"{pair[1]}={REDACTED}" if _sensitive_parameter(pair[1]) else pair[0], text)
    return _USERINFO.sub(REDACTED, text) if "@" in text else text


def shown_value(name: str, value: object) -> str:
    """The value of a header field as it may be shown. ``value``: a str, unless a plugin put something else there."""
    return REDACTED if sensitive(name) else shown_target(str(value))


def shown_headers(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Fields in order, as they may be shown."""
    return tuple((str(name), shown_value(name, value)) for name, value in headers.items())


class Hider:
    """Hides what one config must not give away. Made once for each config."""

    def __init__(self, config: GatewayConfig) -> None:
        texts = {secret.reveal(): REDACTED for secret in _secrets(config, set())}
        for path, reference in config.references.items():
            value = _at(config, path) if _is_hidden(path) else None
            if isinstance(value, str):
                texts.setdefault(value, reference)
        self._texts = {text: instead for text, instead in texts.items() if len(text) >= _SHORTEST}
        longest_first = sorted(self._texts, key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def hide(self, value: T) -> T:
        """``value`` with nothing in it that must be hidden."""
        found = self._found
        if found is None:
            return value
        return with_texts(value, lambda text: found.sub(lambda match: self._texts[match[0]], text))


def with_texts(value: T, change: Callable[[str], str]) -> T:
    """``value``, an attrs object, a mapping, a tuple or a text, with every text in it changed."""
    return _with_texts(value, change)  # type: ignore[no-any-return]  # of the same type


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_with_texts(item, change) for item in value)
    if isinstance(value, dict):
        return {_with_texts(key, change): _with_texts(item, change) for key, item in value.items()}
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value))]
        return type(value)(**{name: _with_texts(getattr(value, name), change) for name in names})
    return value


def _secrets(value: Any, seen: set[int]) -> Iterator[Secret]:
    """Every Secret in a config, the plugins' settings included."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from _secrets(item, seen)
    elif isinstance(value, (tuple, list, set, frozenset)):
        for item in value:
            yield from _secrets(item, seen)
    elif attrs.has(type(value)) and id(value) not in seen:
        seen.add(id(value))
        for field in attrs.fields(type(value)):
            yield from _secrets(getattr(value, field.name, None), seen)


def _is_hidden(path: tuple[str | int, ...]) -> bool:
    return path[0] == "plugins" or "set_headers" in path


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    """What stands in a config at a path of the file; None when the file has it in another form than the object."""
    for step in path:
        try:
            if isinstance(value, dict) or (isinstance(value, (tuple, list)) and isinstance(step, int)):
                value = value[step]  # type: ignore[index]  # each has its own kind of key
            elif hasattr(value, str(step)):
                value = getattr(value, str(step))
            else:
                value = getattr(getattr(value, "settings", None), str(step), None)
        except (KeyError, IndexError, TypeError):
            return None
    return value
