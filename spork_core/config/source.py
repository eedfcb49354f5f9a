"""YAML 1.2 text to plain values, with the line and column of every key and value.

Built straight from the parser's events, which takes half the time of a round-trip load (0.5 s for 1,000 routes).
A scalar is what the core schema of YAML 1.2 says, so ``NO`` is text and ``0777`` the number 777.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from spork_core.config.faults import Fault, Path, Resolved, quote
from spork_core.units import ParseError

LARGEST_TEXT: Final = 10 * 2**20
"""The longest config accepted, in characters."""

DEEPEST: Final = 64
"""How many collections may stand inside each other."""

MOST_ALIASED: Final = 100_000
"""How many values aliases and merge keys may add."""

_TAG: Final = "tag:yaml.org,2002:"
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INDEX: Final = re.compile(r"\[([0-9]{1,9})\]")
_NUMERIC: Final = frozenset("-+.0123456789")


class Node:
    """A scalar, a list of nodes, or a mapping from key to (line and column of the key, node)."""

    __slots__ = ("column", "kind", "line", "merges", "value")

    def __init__(self, kind: str, value: Any, line: int, column: int) -> None:
        self.kind = kind
        self.value = value
        self.line = line
        self.column = column
        self.merges: list[Node] = []


class YamlFault(Exception):
    """The text is not YAML, or not YAML that a config may use: message, remedy, path and 1-based position."""

    def __init__(self, message: str, line: int, column: int, path: Path = (), remedy: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.path = path
        self.remedy = remedy


class Source:
    """A parsed config: its plain ``values``, the ``references`` among them and the ``faults`` of YAML itself."""

    def __init__(self, root: Node, faults: list[YamlFault], size: int) -> None:
        self.root = root
        self.yaml_faults = faults
        self.faults: list[Fault] = []
        self.references: dict[Path, str] = {}
        self._budget = size + MOST_ALIASED

    def resolve(self, resolver: Callable[[str], str | Resolved]) -> Any:
        """The plain values of the whole, references resolved. Faults go to ``faults``. Raises YamlFault."""
        return self._plain(self.root, (), resolver)

    def _plain(self, node: Node, path: Path, resolver: Callable[[str], str | Resolved]) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise YamlFault(f"aliases add more than {MOST_ALIASED:,} values", node.line, node.column)
        value = node.value
        if node.kind == "map":
            return {key: self._plain(item[2], (*path, key), resolver) for key, item in value.items()}
        if node.kind == "list":
            return [self._plain(item, (*path, index), resolver) for index, item in enumerate(value)]
        if type(value) is str and "${" in value:
            try:
                resolved = resolver(value)
            except ParseError as exc:
                self.faults.append(Fault(path, exc.message, exc.remedy))
                return Resolved("", value)
            if isinstance(resolved, Resolved):
                self.references[path] = value
            return resolved
        return value

    def actual(self, path: Path) -> Path:
        """The path as the file has it, where the file uses a short form: one item without its list, a class by one
        value, a certificate beside the other keys of its TLS.
        """
        node, steps, found = self.root, list(path), list[str | int]()
        while steps:
            step = steps.pop(0)
            if node.kind == "scalar":
                break
            if node.kind == "map" and isinstance(step, int) and step not in node.value:
                continue
            if step == "certificates" and step not in node.value and "certificate" in node.value:
                continue
            found.append(step)
            if node.kind == "map" and step in node.value:
                node = node.value[step][2]
            elif node.kind == "list" and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            else:
                return (*found, *steps)
        return tuple(found)

    def locate(self, path: Path, at_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at an actual path (of its key), or of what is nearest above it.

        A collection is located by its key, which is where an operator looks for it.
        """
        node, line, column = self.root, self.root.line, self.root.column
        for step in path:
            if node.kind == "map" and step in node.value:
                line, column, node = node.value[step]
            elif node.kind == "list" and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line, column = node.line, node.column
            else:
                return line, column
        if not at_key and node.kind == "scalar" and node.value is not None:
            return node.line, node.column
        return line, column

    def find(self, text: str) -> Path:
        """The longest actual path that the text ``$.routes.a.chain[0]`` names; names may hold dots, quoted or not."""
        node, rest, found = self.root, text.removeprefix("$"), list[str | int]()
        while rest and node.kind != "scalar":
            if (index := _INDEX.match(rest)) and node.kind == "list" and int(index[1]) < len(node.value):
                step: str | int = int(index[1])
                node, rest = node.value[step], rest[index.end() :]
            else:
                keys = node.value if node.kind == "map" else ()
                forms = {f".{key}": key for key in keys} | {f'["{key}"]': key for key in keys}
                fitting = [form for form in forms if rest.startswith(form) and rest[len(form) :][:1] in {"", ".", "["}]
                if not fitting:
                    break
                form = max(fitting, key=len)
                step = forms[form]
                node, rest = node.value[step][2], rest[len(form) :]
            found.append(step)
        return tuple(found)


def parse(text: str) -> Source:
    """Read one YAML document. Raises YamlFault for what cannot be read at all."""
    if len(text) > LARGEST_TEXT:
        raise YamlFault("the config is larger than 10 MiB", 1, 1)
    return _Builder().build(text.removeprefix("\ufeff"))


def scalar(text: str, tag: str = "") -> Any:
    """The value of a plain scalar by the core schema; with an explicit tag, as that says. Raises ParseError."""
    if tag == "str":
        return text
    if text in _WORDS:
        value = _WORDS[text]
    elif text[0] not in _NUMERIC:
        value = text
    elif _INT.fullmatch(text):
        if len(text) > 100:
            raise ParseError("the number is too long", "put it in quotes if it is text")
        value = int(text, 0 if text[:2] in {"0o", "0x"} else 10)
    else:
        value = float(text) if _FLOAT.fullmatch(text) else text
    if tag == "float" and type(value) is int:
        value = float(value)
    if tag and type(value).__name__ != {"null": "NoneType"}.get(tag, tag):
        raise ParseError(f"{quote(text)} is no !!{tag}")
    return value


class _Builder:
    """Turns the parser's events into nodes with a stack instead of recursion."""

    def __init__(self) -> None:
        self.faults: list[YamlFault] = []
        self.anchors: dict[str, Node | None] = {}
        self.open: list[tuple[Node, list[Any], str | None]] = []  # collection, [key, key's node] of a map, anchor
        self.root: Node | None = None
        self.size = 0
        self.merged = 0

    def build(self, text: str) -> Source:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError
        from ruamel.yaml.reader import ReaderError

        class Plain(YAML):
            def official_plug_ins(self) -> list[str]:
                return []  # ruamel would look for some on the disk at each parse

        try:
            for event in Plain(typ="safe", pure=True).parse(text):
                self.take(type(event).__name__, event)
        except YamlFault:
            raise
        except ReaderError as exc:
            before = text[: exc.position]
            column = len(before) - (before.rfind("\n") + 1) + 1
            message = f"character U+{exc.character:04X} is not allowed"
            raise YamlFault(message, before.count("\n") + 1, column) from None
        except MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            message = "not valid YAML: " + ", ".join(filter(None, (exc.context, exc.problem)))
            raise YamlFault(message, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1) from None
        except Exception as exc:  # the parser leaks IndexError, ValueError and others on some broken texts
            line, column = self.last()
            raise YamlFault(f"not valid YAML after this point ({type(exc).__name__})", line, column) from None
        return Source(self.root or Node("scalar", None, 1, 1), self.faults, self.size)

    def last(self) -> tuple[int, int]:
        node = self.open[-1][0] if self.open else self.root
        return (node.line, node.column) if node else (1, 1)

    def take(self, name: str, event: Any) -> None:
        mark = event.start_mark
        match name:
            case "ScalarEvent":
                self.add(self.scalar_node(event), event.anchor)
            case "MappingStartEvent" | "SequenceStartEvent":
                kind = "map" if name == "MappingStartEvent" else "list"
                self.check_tag(event, {"map": "map", "list": "seq"}[kind])
                node = Node(kind, {} if kind == "map" else [], mark.line + 1, mark.column + 1)
                if len(self.open) >= DEEPEST:
                    raise YamlFault(f"nested more than {DEEPEST} deep", node.line, node.column)
                if event.anchor is not None:
                    self.anchors[event.anchor] = None
                self.open.append((node, [], event.anchor))
            case "MappingEndEvent" | "SequenceEndEvent":
                node, _, anchor = self.open.pop()
                self.merge(node)
                self.add(node, anchor)
            case "AliasEvent":
                if self.anchors.get(event.anchor) is None:
                    problem = "contains itself" if event.anchor in self.anchors else "names no anchor"
                    raise YamlFault(f"alias *{event.anchor} {problem}", mark.line + 1, mark.column + 1)
                self.add(self.anchors[event.anchor], None)
            case "DocumentStartEvent":
                if self.root is not None:
                    raise YamlFault("a config is one YAML document, this is a second", mark.line + 1, mark.column + 1)
                if getattr(event, "version", None) is not None and str(event.version) not in {
                    "1.2",
                    "Version(1, 2)",
                }:
                    self.fault("a config is YAML 1.2", "take the %YAML line out", mark)

    def add(self, node: Node | None, anchor: str | None) -> None:
        assert node is not None
        self.size += 1
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        parent, pending, _ = self.open[-1]
        if parent.kind == "list":
            parent.value.append(node)
        elif not pending:
            pending.append(node)
        else:
            self.put(parent, pending.pop(), node)

    def put(self, parent: Node, key: Node, node: Node) -> None:
        if key.kind == "merge":
            parent.merges += node.value if node.kind == "list" else [node]
        elif key.kind != "scalar":
            self.faults.append(YamlFault("a key must be text", key.line, key.column, self.place()))
        elif key.value in parent.value:
            first = parent.value[key.value][0]
            message, remedy = f"duplicate key {quote(str(key.value))}", f"line {first} has it already"
            place = (*self.place(), key.value)
            self.faults.append(YamlFault(message, key.line, key.column, place, remedy))
        else:
            parent.value[key.value] = (key.line, key.column, node)

    def merge(self, node: Node) -> None:
        """Add the keys of ``<<``: what stands in the mapping itself wins, then the first merged."""
        for other in node.merges:
            if other.kind != "map":
                message = "<< takes a mapping or a list of mappings"
                self.faults.append(YamlFault(message, node.line, node.column, self.place()))
                continue
            self.merged += len(other.value)
            if self.merged > MOST_ALIASED:
                raise YamlFault(f"merge keys add more than {MOST_ALIASED:,} values", node.line, node.column)
            for key, item in other.value.items():
                node.value.setdefault(key, item)

    def scalar_node(self, event: Any) -> Node:
        mark, text = event.start_mark, event.value
        tag = self.check_tag(event, "str", "int", "float", "bool", "null")
        plain = event.implicit[0] and not tag
        kind, value = "scalar", text
        if plain and text == "<<" and self.open and self.open[-1][0].kind == "map" and not self.open[-1][1]:
            kind = "merge"
        elif plain or tag:
            try:
                value = scalar(text, tag)
            except ParseError as exc:
                self.fault(exc.message, exc.remedy, mark)
        return Node(kind, value, mark.line + 1, mark.column + 1)

    def check_tag(self, event: Any, *allowed: str) -> str:
        """The short name of an explicit tag, or "". Unknown ones are faults."""
        tag = str(event.tag) if event.tag is not None else ""
        if tag in {"", "!"}:
            return "str" if tag and "str" in allowed else ""
        name = tag.removeprefix(_TAG)
        if name in allowed:
            return name
        self.fault(f"the tag {quote(tag)} means nothing here", "take it out", event.start_mark)
        return ""

    def fault(self, message: str, remedy: str, mark: Any) -> None:
        self.faults.append(YamlFault(message, mark.line + 1, mark.column + 1, self.place(), remedy))

    def place(self) -> Path:
        """The path of the value that is being read."""
        steps: list[str | int] = []
        for node, pending, _ in self.open:
            if node.kind == "list":
                steps.append(len(node.value))
            elif pending:
                steps.append(pending[0].value)
        return tuple(steps)
