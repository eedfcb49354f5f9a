"""Names: the rules of Prometheus, checked without it, and the reference, which has each of them."""

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from spork_metrics.families import OWN
from spork_metrics.process import OfProcess

from spork_core.testing import gateway
from spork_core.testing.harness import Harness

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
MONITOR = REFERENCE.parents[1] / "how-to" / "monitor.md"
METRICS = {"metrics": {"use": "metrics", "consumers": 3}}
ADMIN = {"listen": "127.0.0.1:0"}
UNITS = re.compile(r"_(ms|us|ns|s|sec|min|minutes|h|hours|d|days|kb|mb|gb|b|milliseconds|kilobytes|percent)(_|$)")
NAMED = re.compile(r"\| `(spork|process|python)_")
KINDS = re.compile(r"_(counter|gauge|histogram|summary|metric|info)$")


async def pages(gw: Harness) -> tuple[str, str]:
    """The text format, and OpenMetrics."""
    await gw.get("/")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    return (await gw.admin.get("/metrics")).text, (await gw.admin.get("/metrics", headers=accept)).text


def faults(text: str) -> Iterator[str]:
    """What ``promtool check metrics`` would say."""
    for family in plain(text):
        name, suffixes = family.name, {sample.name.removeprefix(family.name) for sample in family.samples}
        if not family.documentation.endswith((".", "gc", "collected", "GC")):
            yield f"{name}: no help"
        if (
            name != name.lower()
            or ":" in name
            or UNITS.search(name)
            or (KINDS.search(name) and "build_info" not in name)
        ):
            yield f"{name}: a name that says a kind, or a unit that is no base unit"
        if family.type == "counter" and suffixes - {"_total"}:
            yield f"{name}: a counter without _total"
        if family.type == "gauge" and name.endswith(("_total", "_count", "_sum", "_bucket")):
            yield f"{name}: a gauge that looks like something else"
        if family.type == "histogram" and suffixes - {"_bucket", "_count", "_sum"}:
            yield f"{name}: no histogram"
        if family.type == "unknown":
            yield f"{name}: no type"


def series(text: str) -> list[str]:
    return [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]


async def test_names_keep_the_rules_of_prometheus_and_of_openmetrics() -> None:
    async with gateway(plugins=METRICS, admin=ADMIN) as gw:
        text, open_text = await pages(gw)

    assert list(faults(text)) == []
    assert len(series(text)) == len(set(series(text)))
    assert sorted(series(text)) == sorted(series(open_text))
    assert {family.name for family in openmetrics(open_text)} == {family.name for family in plain(text)}


def row(name: str, kind: str, labels: tuple[str, ...], text: str) -> str:
    words = ", ".join(f"`{label}`" for label in labels) or "none"
    return f"| `{name}` | {kind} | {words} | {text} |"


async def test_the_reference_has_each_metric_and_no_other() -> None:
    async with gateway(plugins=METRICS) as gw:
        kernel = {metric.name: metric for metric in gw.gateway.view().collect()}.values()
    rows = [row(each.exported, each.kind, each.labels, each.help) for each in OWN]
    rows += [
        row(f"spork_{each.name}{'_total' if each.kind == 'counter' else ''}", each.kind, each.labels, each.help)
        for each in kernel
    ]
    rows += [
        row(each.name + ("_total" if each.kind == "counter" else ""), each.kind, each.labels, each.help)
        for each in OfProcess()()
    ]

    written = [line for line in REFERENCE.read_text().splitlines() if NAMED.match(line)]

    assert written == rows


def test_what_the_page_on_monitoring_asks_for_is_there() -> None:
    asked = set(re.findall(r"\b(?:spork|process)_[a-z_]+[a-z]", MONITOR.read_text()))
    there = set(re.findall(r"^\| `(\w+)`", REFERENCE.read_text(), re.MULTILINE))

    assert [name for name in asked if name not in there and re.sub("_(bucket|count|sum)$", "", name) not in there] == [
        "spork_config_reloads"  # what curl's output is searched for
    ]
