"""YAML 1.2 as it is, where every value stands, and what broken or hostile text gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.config.source import YamlFault, parse
from spork_core.errors import ConfigError, ConfigProblem
from tests.config.conftest import Faults, Load


def values(text: str) -> object:
    source = parse(text)
    assert source.faults == []
    return source.resolve(lambda item: item)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("0777", 777),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("12:30", "12:30"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("~", None),
        ("", None),
        ("True", True),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("! 5", "5"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert values(f"a: {text}") == {"a": value}


def test_anchors_and_merge_keys() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: *a\ne: {'<<': 1}"

    assert values(text) == {
        "a": {"x": 1, "y": 1},
        "b": {"y": 2, "z": 2},
        "c": {"x": 3, "y": 1, "z": 2},
        "d": {"x": 1, "y": 1},
        "e": {"<<": 1},
    }


@pytest.mark.parametrize(
    ("path", "place"),
    [(("a",), (1, 1)), (("a", "b", 1), (2, 10)), (("c",), (3, 4)), (("a", "nothing"), (1, 1)), (("a", "b"), (2, 3))],
)
def test_a_scalar_stands_at_its_value_and_a_collection_at_its_key(path: tuple[str | int, ...], place: object) -> None:
    assert parse("a:\n  b: [1, 2]\nc: 3").locate(path) == place


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\na: 2", 'spork.yaml:2:1 $.a: duplicate key "a"; line 1 has it already'),
        ("a: {b: 1, b: 2}", 'spork.yaml:1:11 $.a.b: duplicate key "b"; line 1 has it already'),
        ("? [1]\n: 2", "spork.yaml:1:3 $: a key must be text"),
        ("workers: !foo 1", 'spork.yaml:1:10 $.workers: the tag "!foo" means nothing here; take it out'),
        ("workers: !!int x", 'spork.yaml:1:10 $.workers: "x" is no !!int'),
        ("%YAML 1.1\n---\nworkers: 1", "spork.yaml:2:1 $: a config is YAML 1.2; take the %YAML line out"),
        ("limits: {<<: 1}", "spork.yaml:1:9 $.limits: << takes a mapping or a list of mappings"),
        (f"workers: {'9' * 101}", "spork.yaml:1:10 $.workers: the number is too long; put it in quotes if it is text"),
    ],
)
def test_a_fault_of_yaml_is_reported(faults: Faults, text: str, fault: str) -> None:
    assert fault in faults(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\n---\nb: 2", "spork.yaml:2:1 $: a config is one YAML document, this is a second"),
        ("a: *b", "spork.yaml:1:4 $: alias *b names no anchor"),
        ("a: &a [*a]", "spork.yaml:1:8 $: alias *a contains itself"),
        ("a: b\x00", "spork.yaml:1:5 $: character U+0000 is not allowed"),
        ("a: [" + "[" * 100, "spork.yaml:1:67 $: nested more than 64 deep"),
        ("- 1", "spork.yaml:1:1 $: expected a mapping, found a list"),
        ("just text", 'spork.yaml:1:1 $: expected a mapping, found "just text"'),
    ],
)
def test_text_that_cannot_be_read_is_one_fault(faults: Faults, text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_a_syntax_error_has_its_place(faults: Faults) -> None:
    (fault,) = faults("a: 1\nb: 'open")

    assert fault.startswith("spork.yaml:2:9 $: not valid YAML: while scanning a quoted scalar")


def test_aliases_cannot_explode(faults: Faults) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    (fault,) = faults("\n".join(lines))

    assert fault.endswith("aliases add more than 100,000 values")


def test_merge_keys_cannot_explode() -> None:
    big = "a: &a {" + ", ".join(f"k{n}: 1" for n in range(400)) + "}\n"

    with pytest.raises(YamlFault, match="merge keys add more than"):
        parse(big + "b: [" + "{<<: *a}, " * 260 + "]")


def test_a_text_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(YamlFault, match="larger than 10 MiB"):
        parse("#" * (10 * 2**20 + 1))


HOSTILE = st.text(max_size=60) | st.text(alphabet="abc:-[]{}&*!|>'\"%@`#,? \n\t<0.~$\ud800é", max_size=60)


@given(HOSTILE)
def test_any_text_is_a_config_or_a_config_error(load: Load, text: str) -> None:
    problems: tuple[ConfigProblem, ...] = ()
    try:
        load(text)
    except ConfigError as refused:
        problems = refused.problems
    assert all(problem.line >= 1 for problem in problems)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$.routes.a.b.match", ("routes", "a.b", "match")),
        ('$.routes["a.b"].match', ("routes", "a.b", "match")),
        ("$.routes.a.chain[1]", ("routes", "a", "chain", 1)),
        ("$.routes.a.nothing", ("routes", "a")),
        ("$", ()),
    ],
)
def test_a_path_in_words_is_found(text: str, path: object) -> None:
    assert parse("routes: {a: {chain: [x, y]}, a.b: {match: {}}}").find(text) == path
