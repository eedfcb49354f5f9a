"""Mutants whose config is not what an operator may expect."""

from typing import Final

from tests.testing.mutants.frame import Mutant, rows

BAD_VALUES: Final = "refuses_bad_values_with_a_path"
ROUND_TRIP: Final = "its_config_round_trips"
TOUCHES: Final = "touches_nothing_when_made"

MUTANTS: Final = (
    Mutant(
        "a config that can be changed",
        "its_config_is_frozen",
        replace={
            "@frozen\nclass GoodOnly:": "@define(hash=True)\nclass GoodOnly:",
            "import frozen": "import define, frozen",
        },
    ),
    Mutant(
        "a setting without a description",
        "describes_each_setting",
        settings='extra: str = setting("", default="")  # here',
        readme=rows("extra"),
    ),
    Mutant(
        "a setting whose description is its name",
        "describes_each_setting",
        replace={'"Methods of requests that need the greeting; empty means all."': '"Methods."'},
    ),
    Mutant(
        "a default that the validator refuses",
        "its_defaults_are_valid",
        module="""
            def _some(_: object, __: object, methods: tuple[str, ...]) -> None:
                if not methods:
                    raise ValueError("name at least one")
        """,
        replace={'all.", default=())': 'all.", default=(), validator=_some)'},
        config={"only": {"methods": ["GET"]}},
        readme={"{greeting: good morning}": "{only: {methods: [GET]}}"},
    ),
    Mutant(
        "a converter that adds something each time",
        ROUND_TRIP,
        settings="""
            extra: str = setting("Where greetings come from.", default="/a", converter=lambda path: path + "/")  # here
        """,
        readme=rows("extra"),
    ),
    Mutant(
        "a validator that crashes",
        BAD_VALUES,
        module="""
            def _upper(_: object, __: object, text: str) -> None:
                if not text[0].isupper():  # here
                    raise ValueError("must begin with a capital")
        """,
        settings='extra: str = setting("How it begins.", default="A", validator=_upper)',
        readme=rows("extra"),
    ),
    Mutant(
        "a constructor that crashes",
        BAD_VALUES,
        methods="""
            def __init__(self, config: GoodConfig, name: str) -> None:
                super().__init__(config, name)
                self._turns = asyncio.Semaphore(8)
                self._seen = 0
                self._started = 0.0
                self._first = config.extra[0]  # here
        """,
        settings='extra: str = setting("How it begins.", default="A")',
        readme=rows("extra"),
    ),
    Mutant(
        "a constructor that exits",
        BAD_VALUES,
        methods="""
            def __init__(self, config: GoodConfig, name: str) -> None:
                super().__init__(config, name)
                self._turns = asyncio.Semaphore(8)
                self._seen = 0
                self._started = 0.0
                if config.greeting == "":
                    raise SystemExit("no greeting")  # here
        """,
    ),
    Mutant(
        "a regular expression that takes for ever",
        BAD_VALUES,
        module="""
            import re

            def _words(_: object, __: object, text: str) -> None:
                if not re.fullmatch("(x+x+)+y", text[:40]):  # here
                    raise ValueError("must be words")
        """,
        settings='extra: str = setting("Words.", default="xxy", validator=_words)',
        readme=rows("extra"),
    ),
    Mutant(
        "a socket opened when it is made",
        TOUCHES,
        module="import socket",
        methods="""
            def __init__(self, config: GoodConfig, name: str) -> None:
                super().__init__(config, name)
                self._turns = asyncio.Semaphore(8)
                self._seen = 0
                self._started = 0.0
                with socket.socket() as probe:  # here
                    self._family = probe.family
        """,
    ),
    Mutant(
        "a validator that asks the network",
        TOUCHES,
        module="""
            import socket

            def _resolves(_: object, __: object, text: str) -> None:
                socket.getaddrinfo("127.0.0.1", 80)  # here
        """,
        settings='extra: str = setting("A host.", default="", validator=_resolves)',
        readme=rows("extra"),
    ),
    Mutant(
        "a thread started when it is made",
        TOUCHES,
        module="import threading",
        methods="""
            def __init__(self, config: GoodConfig, name: str) -> None:
                super().__init__(config, name)
                self._turns = asyncio.Semaphore(8)
                self._seen = 0
                self._started = 0.0
                threading.Thread(target=int).start()  # here
        """,
    ),
    Mutant(
        "a validator with an error that is not one",
        BAD_VALUES,
        module="""
            import re

            def _pattern(_: object, __: object, text: str) -> None:
                re.compile(text)  # here
        """,
        settings='extra: str = setting("A pattern.", default="", validator=_pattern)',
        readme=rows("extra"),
    ),
    Mutant(
        "settings of which one is needed",
        None,
        settings="""
            extra: str = setting("One way.", default="")
            more: str = setting("The other way.", default="")

            def __attrs_post_init__(self) -> None:
                if not self.extra and not self.more:
                    raise ValueError("say extra or more")
        """,
        config={"extra": "x"},
        readme={**rows("extra", "more"), "{greeting: good morning}": "{extra: x}"},
    ),
    Mutant(
        "a default that depends on another setting",
        None,
        module="from attrs import Factory",
        settings="""
            extra: str = setting("Like greeting.", default=Factory(lambda self: self.greeting.upper(), takes_self=True))
        """,
        readme=rows("extra"),
    ),
    Mutant(
        "a list of objects that need something",
        None,
        module="""
            @frozen
            class Rule:
                \"\"\"One rule.\"\"\"

                path: str = setting("Where it holds.")
                times: int = setting("How often.", default=1)
        """,
        settings='extra: tuple[Rule, ...] = setting("Rules.", default=())',
        readme=rows("extra", "path", "times"),
    ),
)
