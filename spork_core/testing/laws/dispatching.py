"""The law about dispatch: the compiled pipeline calls of the plugin what pluggy itself would call."""

from inspect import isawaitable
from typing import Any, Final

from spork_core.errors import NotFound, Problem
from spork_core.exchange import Attempt, Exchange, Outcome, Request, Response
from spork_core.headers import Headers
from spork_core.hookspecs import KINDS
from spork_core.pipeline import Pipeline
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.reference import ARGUMENTS, Reference
from spork_core.testing.rig import Rig, run
from spork_core.testing.subject import Subject

Said = list[tuple[str, str]]


@law(hooks=KINDS)
def compiled_is_reference(subject: Subject) -> None:
    """The compiled pipeline and pluggy's own dispatch get the same out of it, hook by hook.

    The gateway asks a plugin once, when the config is loaded, which hooks it has, and compiles those in. A plugin that
    puts another function in a hook's place later, or answers `hooks()` differently each time, is served by the hooks it
    had then, and its author looks for the others in vain.
    """
    compiled = run(subject, _compiled, bare=True)
    reference = run(subject, _reference, bare=True)
    for (hook, one), (_, other) in zip(compiled, reference, strict=True):
        if one != other:
            function = getattr(subject.plugin_class, hook, subject.plugin_class)
            raise Broken(
                f"{place_of(function)}: {hook} gives {one} in the compiled pipeline, and {other} when pluggy calls it",
                "implement the hook as a method of the class, and decide inside it; hooks() depends on the config only",
            )


async def _compiled(rig: Rig) -> Said:
    pipeline = Pipeline([rig.instance])

    async def fire(hook: str, *given: Any) -> Any:
        phase = getattr(pipeline, hook)
        answer = None if phase is None else phase(*given)
        return await answer if isawaitable(answer) else answer

    return await _all(rig, fire)


async def _reference(rig: Rig) -> Said:
    return await _all(rig, Reference([rig.instance]).run)


async def _all(rig: Rig, fire: Any) -> Said:
    """Each hook fired once for a few exchanges, in the order of their life, and what came of it."""
    said: Said = []
    for request in _requests(rig.subject):
        exchange = Exchange(request)
        for hook in KINDS:
            if hook == "after_attempt":
                exchange.response = Response(200, b"{}", content_type="application/json")
                exchange.response.source = "upstream"
            if hook == "on_complete":
                exchange.outcome = Outcome(200, "upstream", True, 0, 2, 1_000_000)
            second = {"attempt": Attempt(1, 0), "error": NotFound()}.get(ARGUMENTS.get(hook, ""))
            try:
                answer = await fire(hook, exchange, *(() if second is None else (second,)))
                came = "None" if answer is None else _kind(answer)
            except Problem as problem:
                came = type(problem).__name__
            said.append((hook, f"{came}, the response {_kind(exchange.response)}"))
    return said


def _kind(answer: object) -> str:
    return f"{answer.status}" if isinstance(answer, Response) else type(answer).__name__


def _requests(subject: Subject) -> list[Request]:
    fields = Headers({"Authorization": "Bearer x", "Accept": "application/json", "Origin": "https://app.example"})
    return [
        Request(
            "GET",
            "/users/1",
            headers=Headers(subject.headers),
            host="api.example",
            client="198.51.100.7",
            peer="198.51.100.7",
        ),
        Request("OPTIONS", "/users", "a=1", headers=fields, host="api.example", scheme="https", trusted=True),
    ]


LAWS: Final[tuple[Law, ...]] = (compiled_is_reference,)
