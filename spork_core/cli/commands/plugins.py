"""``spork plugins``: what is installed, what a config file makes of it, and how it does in a running gateway."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from spork_core.cli import admin as admin_listener
from spork_core.cli import files
from spork_core.cli.console import heading, many, print_json, table


@click.command()
@files.file_argument
@click.option("--admin", metavar="URL", help="Show the instances of the gateway that runs there, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plugins(file: Path | None, admin: str | None, as_json: bool) -> None:
    """List the plugins: installed ones, with FILE the instances it configures, with --admin the running ones.

    Of running instances it tells how they are (well, quarantined after failures, skipped or denied for their budget,
    probing), how often and how they failed, what each exchange costs in their own code and in waiting, and the last
    events.

    \b
    Examples:
      spork plugins
      spork plugins spork.yaml
      spork plugins --admin http://127.0.0.1:8081

    A plugin is installed with pip, and does nothing until a config names it.
    """
    found: dict[str, Any] = {"installed": _installed()}
    if file is not None:
        found["configured"] = _configured(file)
    if admin is not None:
        status = admin_listener.named(admin).status()
        found["running"] = status.get("instances", {})
        found["events"] = status.get("events", [])
    if as_json:
        print_json(found)
        return
    _show_installed(found["installed"])
    if "configured" in found:
        click.echo()
        heading(f"Instances of {file}")
        _show_configured(found["configured"])
    if "running" in found:
        click.echo()
        heading("Running instances")
        _show_running(found["running"])
        _show_events(found["events"])


def _installed() -> list[dict[str, Any]]:
    from spork_core.config import describe
    from spork_core.hookspecs import GATEWAY_HOOKS, KINDS
    from spork_core.registry import PluginLoadError, Registry

    registry = Registry()
    rows = []
    for name in registry.names():
        row: dict[str, Any] = {"plugin": name, "distribution": registry.distribution(name)}
        try:
            cls = registry.plugin_class(name)
            row["hooks"] = [h for h in (*KINDS, *GATEWAY_HOOKS) if hasattr(getattr(cls, h, None), "spork_impl")]
            row["settings"] = [field.name for field in describe(cls.Config)]
            row["summary"] = (cls.__doc__ or "").strip().partition("\n")[0]
        except PluginLoadError as error:
            row["error"] = str(error)
        except (TypeError, NameError) as error:  # its config class is none
            row["error"] = f"its config class cannot be used: {error}"
        rows.append(row)
    return rows


def _configured(file: Path) -> list[dict[str, Any]]:
    from spork_core.build import chain_of

    gateway = files.build(file)
    config, running = gateway.config, gateway.snapshot.instances
    chains = {name: chain_of(config, route) for name, route in config.routes.items()}
    rows = []
    for name, instance in config.plugins.items():
        built = running.get(name)
        rows.append(
            {
                "instance": name,
                "use": instance.use,
                "enabled": instance.enabled,
                "on_failure": None if built is None else built.on_failure,
                "hooks": [] if built is None else sorted(built.impls),
                "routes": [route for route, chain in chains.items() if name in chain],
            }
        )
    return rows


def _show_installed(rows: list[dict[str, Any]]) -> None:
    if not rows:
        click.echo('no plugin is installed; install some with "pip install", such as ./plugins/* of a checkout')
        return
    table(
        ("plugin", "distribution", "hooks", "settings"),
        (
            (row["plugin"], row["distribution"], row["error"], "")
            if "error" in row
            else (
                row["plugin"],
                row["distribution"],
                ", ".join(row["hooks"]) or "none",
                ", ".join(row["settings"]) or "none",
            )
            for row in rows
        ),
    )


def _show_configured(rows: list[dict[str, Any]]) -> None:
    table(
        ("instance", "use", "on_failure", "hooks in use", "routes"),
        (
            (
                row["instance"],
                row["use"],
                row["on_failure"] or "disabled",
                ", ".join(row["hooks"]) or "none",
                str(len(row["routes"])),
            )
            for row in rows
        ),
    )


def _show_running(instances: dict[str, dict[str, Any]]) -> None:
    table(
        ("instance", "use", "distribution", "state", "on_failure", "failures", "own", "waiting", "says"),
        (
            (
                name,
                str(facts.get("use")),
                str(facts.get("distribution")),
                _state(facts),
                str(facts.get("on_failure")),
                str(facts.get("failures")),
                *_times(facts),
                _said(facts.get("describe")),
            )
            for name, facts in instances.items()
        ),
    )
    for name, facts in instances.items():
        for word in ("why", "last_failure"):
            if facts.get(word):
                click.echo(f"{name}, {word.replace('_', ' ')}: {facts[word]}")


def _state(facts: dict[str, Any]) -> str:
    state, times = str(facts.get("state")), facts.get("isolated")
    return f"{state} (isolated {many(times, 'time')})" if times else state


def _times(facts: dict[str, Any]) -> tuple[str, str]:
    """Own time and waiting for each exchange, by the hook that was called most often: µs and ms."""
    hooks = facts.get("hooks") or {}
    exchanges = max((stats["calls"] for stats in hooks.values()), default=0)
    if not exchanges:
        return "", ""
    own = sum(stats["own_seconds"] for stats in hooks.values()) / exchanges
    waiting = sum(stats["waiting_seconds"] for stats in hooks.values()) / exchanges
    return f"{own * 1e6:.1f} µs", f"{waiting * 1e3:.2f} ms"


def _show_events(events: list[dict[str, Any]]) -> None:
    if not events:
        return
    click.echo()
    heading("Last events")
    table(
        ("when (UTC)", "what", ""),
        (
            (
                datetime.fromtimestamp(event["time"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
                str(event["kind"]),
                str(event["message"]),
            )
            for event in events[-10:]
        ),
    )


def _said(words: object) -> str:
    if isinstance(words, dict):
        return ", ".join(f"{key} {value}" for key, value in words.items())
    return "" if words is None else str(words)
