"""Shows an explanation as text: the same sections whether it was foretold or is of a real request."""

from collections.abc import Iterable, Iterator
from typing import Final

import click

from spork_core.cli.console import heading, table
from spork_core.explain.model import Decision, Explanation, Refused, Step, Upstream
from spork_core.explain.redaction import with_texts
from spork_core.units import format_duration, format_size

_LABELS: Final = {"should_retry": "should_retry, after a failure", "on_error": "on_error, after a problem"}


def show(found: Explanation) -> None:
    """Prints it on standard output. What clients and services put in cannot steer the terminal."""
    found = with_texts(found, printable)
    asked = found.asked
    click.echo(f"{click.style(asked.method, bold=True)} {asked.target}   Host: {asked.host}")
    if found.id is not None:
        click.echo(f"exchange {found.id}, from {asked.client or 'a unix socket'}")
    _show_routes(found)
    if found.refused is not None and found.refused.certain and not found.live:
        _show_refused(found.refused, "Answer")
    if found.live:
        _show_calls(found.steps)
    else:
        _show_steps(found.steps)
    if found.left_out:
        _section("Left out")
        table(("instance", "why"), ((left.instance, left.why) for left in found.left_out))
    _show_identity(found)
    if found.upstream is not None:
        _show_upstream(found.upstream, found)
    elif found.answers and not found.live:
        _section("Answer")
        click.echo(f"no service is asked; {found.answers} answers")
    if found.refused is not None and not found.refused.certain:
        _show_refused(found.refused, "Without a known caller")
    _show_what_came(found)


def printable(text: str) -> str:
    """``text`` with everything escaped that is no printable character: controls, bidirectional marks, bytes that are no
    UTF-8."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _section(title: str) -> None:
    click.echo()
    heading(title)


def _show_routes(found: Explanation) -> None:
    _section("Routes")
    if not found.candidates:
        click.echo("none comes near" if found.route is None else found.route)
        return
    rows = [("→" if fact.matched else "", fact.route, fact.why) for fact in found.candidates]
    table(("", "route", "why"), rows)


def _show_refused(refused: Refused, title: str) -> None:
    _section(title)
    _show_problem(refused)
    for name, value in refused.headers:
        click.echo(f"{name}: {value}")


def _show_problem(refused: Refused) -> None:
    status = click.style(f"{refused.status} {refused.title}", fg="red")
    click.echo(f"{status} ({refused.code}): {refused.detail}")
    if refused.reason:
        click.echo(f"because: {refused.reason}")


def _show_steps(steps: Iterable[Step]) -> None:
    _section("Hooks, in the order they are called")
    rows = [(_LABELS.get(step.hook, step.hook), step.instance, step.origin, step.plugin, step.kind) for step in steps]
    if rows:
        table(("hook", "instance", "from", "plugin", "kind"), rows)
    else:
        click.echo("none: no instance of this chain implements one")


# -- what only a real request tells ---------------------------------------------------------------------


def _show_calls(steps: tuple[Step, ...]) -> None:
    _section("Hooks, in the order they were called")
    if not steps:
        click.echo("none: no instance of this chain implements one")
        return
    rows = [
        (
            step.hook if step.attempt is None else f"{step.hook} {step.attempt}",
            step.instance,
            step.origin,
            step.plugin,
            f"not called: {step.why}" if step.decision is None else _decided(step.decision),
            _time(step.own),
            _time(step.waiting or None),
        )
        for step in steps
    ]
    table(("hook", "instance", "from", "plugin", "decided", "own time", "waiting"), rows)
    changes = [(step.hook, step.instance, *change) for step in steps for change in _changes(step)]
    if changes:
        _section("What they changed")
        table(("hook", "instance", "what", "before", "after"), changes)


def _decided(decision: Decision) -> str:
    detail = f": {decision.detail}" if decision.detail else ""
    match decision.kind:
        case "none":
            return "–"
        case "response":
            return f"answered {decision.status}"
        case "identity" | "endpoint":
            return f"{decision.kind} {decision.value}"
        case "delay":
            return f"again in {decision.value} s"
        case "problem":
            return f"refused with {decision.status} {decision.value}{detail}"
        case "held":
            refused = "" if decision.status is None else f"refused with {decision.status}, "
            return f"{refused}isolated{detail}"
        case "failure":
            return f"failed{detail}"


def _changes(step: Step) -> Iterator[tuple[str, str, str]]:
    for side, fields in (("request", step.request_headers), ("response", step.response_headers)):
        for change in fields or ():
            yield f"{side} header {change.name}", _value(change.before), _value(change.after)
    for name in step.changed or ():
        yield name, "", ""


def _value(value: str | None) -> str:
    return "(none)" if value is None else value


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 0.001 else f"{seconds * 1e6:.3g} µs"


def _show_what_came(found: Explanation) -> None:
    if found.attempts:
        _section("Attempts")
        rows = [
            (
                str(one.number),
                one.endpoint or "none was picked",
                "reused" if one.reused else "new",
                str(one.status) if one.error is None and one.status is not None else one.error or "not sent",
                _time(one.took),
                one.reason or "",
            )
            for one in found.attempts
        ]
        table(("", "endpoint", "connection", "came to", "took", ""), rows)
    if found.isolated:
        _section("Isolated instances")
        table(("instance", "state", "why"), ((one.instance, one.state, one.why) for one in found.isolated))
    if found.events:
        _section("Events meanwhile")
        table(("event", ""), ((event.kind, event.message) for event in found.events))
    if found.answer is not None:
        _show_answer(found)


def _show_answer(found: Explanation) -> None:
    answer, times = found.answer, found.times
    assert answer is not None
    _section("The answer in place of which this came")
    status = click.style(f"{answer.status} {answer.reason}", bold=True)
    by = f"by {found.answers}" if found.answers else f"of service {found.upstream.service if found.upstream else '?'}"
    click.echo(f"{status} {by}")
    for name, value in answer.headers:
        click.echo(f"{name}: {value}")
    length = "content of a length nobody knows beforehand" if answer.body_length is None else ""
    click.echo(length or f"{answer.body_length} bytes of content")
    if found.refused is not None:
        _show_problem(found.refused)
    if times is not None:
        _section("Time")
        table(
            ("all", "own time of hooks", "waiting of hooks", "upstream"),
            [(_time(times.total), _time(times.own), _time(times.waiting), _time(times.upstream))],
        )


# -- what both tell -------------------------------------------------------------------------------------


def _show_identity(found: Explanation) -> None:
    identity = found.identity
    if identity is None:
        return
    _section("Identity")
    who = f" (asked: {', '.join(identity.by)})" if identity.by else " (no instance authenticates)"
    click.echo(("required" if identity.required else "optional") + who)
    if identity.subject is not None:
        click.echo(f"caller {identity.subject}" + (f", by {identity.scheme}" if identity.scheme else ""))


def _show_upstream(upstream: Upstream, found: Explanation) -> None:
    _section("Upstream")
    rows = [
        ("service", upstream.service),
        ("request", f"{found.asked.method} {upstream.target}"),
        ("Host", upstream.host),
    ]
    rows += [(f"set {name}", value) for name, value in upstream.set_headers.items()]
    rows += [("remove", name) for name in upstream.removed_headers]
    first = "first" if found.live else "next"
    for fact in upstream.endpoints:
        weight = f"  weight {fact.weight}" if any(other.weight != 1 for other in upstream.endpoints) else ""
        chosen = f"  ← {first}" if fact.next and len(upstream.endpoints) > 1 else ""
        rows.append(("endpoint", fact.url + weight + chosen))
    rows.append(("picked by", _policy(upstream)))
    times = {"connect": upstream.connect, "response": upstream.response, "idle": upstream.idle, "total": upstream.total}
    words = (f"{name} {'none' if value is None else format_duration(value)}" for name, value in times.items())
    rows.append(("timeouts", ", ".join(words)))
    if found.body_limit is not None:
        rows.append(("body limit", format_size(found.body_limit)))
    if found.upgrade is not None:
        rows.append(("upgrade", f"{found.upgrade}, tunnelled when the service agrees"))
    table(("", ""), rows)


def _policy(upstream: Upstream) -> str:
    if len(upstream.endpoints) == 1:
        own = "the only endpoint"
    else:
        weighted = "weighted " if any(fact.weight != 1 for fact in upstream.endpoints) else ""
        own = f"{weighted}round robin; another one when a connection cannot be made"
    return f"{', '.join(upstream.deciders)} (select_upstream), else {own}" if upstream.deciders else own
