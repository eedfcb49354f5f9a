"""One strict reader for each kind of single value: nothing is coerced, and a refusal says what to write."""

import json
import math
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from spork_core.config.faults import Resolved, quote, show
from spork_core.config.fields import Secret
from spork_core.config.model import Address
from spork_core.config.shapes import type_name
from spork_core.units import ParseError, parse_duration, parse_rate, parse_size

Leaf = Callable[[Any], Any]

_WORDS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def plain(value: Any) -> Any:
    """The value with every resolved reference replaced by its text, however deep."""
    if isinstance(value, Resolved):
        return value.text
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def read_text(raw: Any) -> str:
    """Text; a number or truth value must be in quotes."""
    if isinstance(raw, str):
        return raw
    remedy = f"write {json.dumps(show(raw))}" if isinstance(raw, (bool, int, float)) else ""
    raise ParseError(f"expected text, found {show(raw)}", remedy)


def read_bool(raw: Any) -> bool:
    """``true`` or ``false``; YAML 1.2 has no other words for them."""
    if isinstance(raw, bool):
        return raw
    meant = _WORDS.get(raw.lower()) if isinstance(raw, str) else None
    remedy = "" if meant is None else f"write {str(meant).lower()}"
    raise ParseError(f"expected true or false, found {show(raw)}", remedy)


def read_int(raw: Any) -> int:
    """A whole number; a float is none, however round."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    remedy = f"write {int(raw)}" if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,18}", raw) else ""
    raise ParseError(f"expected a whole number, found {show(raw)}", remedy)


def read_float(raw: Any) -> float:
    """A finite number."""
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw):
        return float(raw)
    raise ParseError(f"expected a number, found {show(raw)}")


def read_path(raw: Any, base: Path) -> Path:
    """A path; a relative one starts at ``base``."""
    text = read_text(raw)
    if not text or "\0" in text:
        raise ParseError("expected a path, found empty text" if not text else "a path holds no NUL")
    return base / text


def read_address(raw: Any) -> Address:
    """Where a listener binds."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raise ParseError(f"expected an address, found {raw}", f'write "127.0.0.1:{raw}"')
    return Address.parse(read_text(raw))


def read_ip(raw: Any) -> Any:
    """An IPv4 or IPv6 address."""
    try:
        return ip_address(read_text(raw))
    except ParseError:
        raise
    except ValueError:
        raise ParseError(f"{quote(raw)} is not an IP address") from None


def read_network(raw: Any) -> Any:
    """An IPv4 or IPv6 network; a bare address is a network of one."""
    text = read_text(raw)
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        wider = ip_network(text, strict=False)
    except ValueError:
        raise ParseError(f"{quote(text)} is not a network", 'write it like "10.0.0.0/8"') from None
    raise ParseError(f"{quote(text)} has bits set behind the prefix", f'write "{wider}"')


def read_none(raw: Any) -> None:
    """Only null."""
    if raw is not None:
        raise ParseError(f"expected null, found {show(raw)}")


def _from_reference(text: str, kind: str) -> Any:
    """What the text of a reference stands for where a number or a truth value is expected."""
    if kind == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind == "int" and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if kind == "float" and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        return float(text)
    return text


def leaf(kind: str, hint: Any, base: Path) -> Leaf | None:
    """The reader for a kind of single value, or None when the kind has parts. Relative paths start at ``base``."""
    if kind == "any":
        return plain
    if kind == "secret":
        return _read_secret
    readers: dict[str, Leaf] = {
        "bool": read_bool,
        "int": read_int,
        "float": read_float,
        "text": read_text,
        "duration": parse_duration,
        "size": parse_size,
        "rate": parse_rate,
        "address": read_address,
        "ip": read_ip,
        "network": read_network,
        "path": lambda raw: read_path(raw, base),
        "none": read_none,
    }
    read = readers.get(kind)
    return read and _typed(_dereferenced(read, kind, hint), hint)


def choice(values: tuple[Any, ...], hint: Any) -> Leaf:
    """The reader for one of some values, exactly as they are written."""

    def read(raw: Any) -> Any:
        for value in values:
            if type(value) is type(raw) and value == raw:
                return value
        from spork_core.config.faults import nearest

        near = nearest(raw, [value for value in values if isinstance(value, str)]) if isinstance(raw, str) else None
        remedy = f'did you mean "{near}"?' if near else ""
        raise ParseError(f"expected {type_name(hint)}, found {show(raw)}", remedy)

    return _dereferenced(read, "text", hint)


def _read_secret(raw: Any) -> Secret:
    """A literal is taken as it is; what is found instead is never shown."""
    if isinstance(raw, Resolved):
        return Secret(raw.text, raw.reference)
    if isinstance(raw, str):
        return Secret(raw)
    found = "a number" if isinstance(raw, (int, float)) and not isinstance(raw, bool) else show(raw)
    raise ParseError(f"expected text for a secret, found {found}", "put it in quotes" if found == "a number" else "")


def _dereferenced(read: Leaf, kind: str, hint: Any) -> Leaf:
    """The reader, for references too: a refusal shows the reference and not what it resolved to."""

    def read_either(raw: Any) -> Any:
        if not isinstance(raw, Resolved):
            return read(raw)
        try:
            return read(_from_reference(raw.text, kind))
        except ParseError:
            raise ParseError(f"expected {type_name(hint)}, found something else in {raw.reference}") from None

    return read_either


def _typed(read: Leaf, hint: Any) -> Leaf:
    """The reader, with its result checked where the type is narrower than the notation (IPv4Network)."""
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    if hint not in (IPv4Address, IPv6Address, IPv4Network, IPv6Network):
        return read

    def read_narrow(raw: Any) -> Any:
        value = read(raw)
        if not isinstance(value, hint):
            raise ParseError(f"expected IPv{'4' if '4' in hint.__name__ else '6'}, found {show(raw)}")
        return value

    return read_narrow
