"""Mutants that guard something, and not well."""

from typing import Final

from tests.testing.mutants.frame import Mutant

MUTANTS: Final = (
    Mutant(
        "a guard that fails open",
        "fails_closed",
        methods="""
            on_failure: ClassVar[Any] = "open"

            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                if exchange.request.headers.get("X-Greeting") == "go away":
                    raise Forbidden("You are not welcome.")
        """,
    ),
    Mutant(
        "an authenticator without a challenge",
        "challenges_who_brings_nothing",
        methods="""
            @hookimpl
            def authenticate(self, exchange: Exchange) -> None:
                return None
        """,
    ),
    Mutant(
        "an authenticator with one",
        None,
        methods="""
            provides: ClassVar[tuple[str, ...]] = ("identity",)

            @hookimpl
            def authenticate(self, exchange: Exchange) -> None:
                return None

            def challenge(self) -> str:
                return 'Greeting realm="all"'
        """,
    ),
)
