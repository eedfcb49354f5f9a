"""Mutants that cannot be loaded, or not as an operator would expect."""

from typing import Final

from tests.testing.mutants.frame import MODULE, Mutant

LOADS: Final = "loads_by_its_entry_point"
HOOKS: Final = "implements_hooks_as_specified"
CONFIG: Final = "accepts_the_config_of_its_contract"

MUTANTS: Final = (
    Mutant("an entry point of another name", LOADS, entry_points=f"[spork.plugins]\nbetter = {MODULE}:Good\n"),
    Mutant("an entry point that is no plugin", LOADS, entry_points=f"[spork.plugins]\ngood = {MODULE}:GoodConfig\n"),
    Mutant("a module that cannot be imported", LOADS, module="import spork_of_tomorrow  # here"),
    Mutant("a module that exits", LOADS, module="import sys\n\nsys.exit(1)  # here"),
    Mutant(
        "a typo in a hook",
        HOOKS,
        methods='''
            @hookimpl
            def on_requests(self, exchange: Exchange) -> None:  # here
                """Never called."""
        ''',
    ),
    Mutant(
        "a hook with an argument of its own",
        HOOKS,
        methods='''
            @hookimpl
            def pre_auth(self, exchange: Exchange, response: object) -> None:  # here
                """pluggy has no such argument."""
        ''',
    ),
    Mutant(
        "a hook that wants to be first",
        HOOKS,
        methods='''
            @hookimpl(tryfirst=True)
            def pre_auth(self, exchange: Exchange) -> None:  # here
                """Before whatever the operator put before it."""
        ''',
    ),
    Mutant(
        "a hook wrapper",
        HOOKS,
        methods="""
            @hookimpl(wrapper=True)
            def pre_auth(self, exchange: Exchange) -> Any:  # here
                return (yield)
        """,
    ),
    Mutant("a capability that is a text", HOOKS, methods='provides: ClassVar[Any] = "greeting"'),
    Mutant(
        "hooks() with a typo",
        HOOKS,
        methods="""
            def hooks(self) -> tuple[str, ...]:
                return ("on_requests",)
        """,
    ),
    Mutant(
        "a plugin that requires what nobody provides",
        CONFIG,
        methods='requires: ClassVar[tuple[str, ...]] = ("request-id",)',
    ),
    Mutant(
        "a plugin that requires what another provides",
        None,
        methods='requires: ClassVar[tuple[str, ...]] = ("request-id",)',
        others={"request-id": {}},
    ),
    Mutant("a config class that is none", CONFIG, methods="Config: ClassVar[type] = dict"),
    Mutant("a contract with a bad config", CONFIG, config={"greetings": "hello"}),
    Mutant(
        "a constructor that refuses",
        CONFIG,
        methods="""
            def __init__(self, config: GoodConfig, name: str) -> None:
                raise ValueError("never")  # here
        """,
    ),
)
