"""Short words for rules and requests."""

from multidict import CIMultiDict

from spork_core.routing import Match, Router, Rule, compile_routes


def rule(name: str, path: str = "/*", **more: object) -> Rule[str]:
    return Rule(name=name, value=name, path=path, **more)  # type: ignore[arg-type]  # the caller's keywords fit


def routes(*paths: str, **named: Rule[str]) -> Router[str]:
    """A router whose routes are named like their paths."""
    return compile_routes([rule(path, path) for path in paths] + list(named.values()))


def find(
    router: Router[str], target: str, method: str = "GET", host: str = "", headers: dict[str, str] | None = None
) -> Match[str]:
    return router.find(method, host, target, CIMultiDict(headers or {}))
