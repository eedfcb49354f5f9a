"""The plugin: which exchanges get a line, what a config may say, start and stop."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from spork_access_log import AccessLog, AccessLogConfig, Only

from spork_core.api import Chance, Clock, Exchange, Headers, Outcome, Request, SporkError, statuses_of


class Gateway(SimpleNamespace):
    """As much of a gateway as the plugin looks at, at noon."""

    def __init__(self) -> None:
        super().__init__(clock=Clock(time=lambda: 43200.0), chance=Chance(), log=logging.getLogger("spork"))


def done(status: int = 200, ms: float = 1, complete: bool = True, **request: Any) -> Exchange:
    seen = Exchange(Request(**request))
    seen.outcome = Outcome(status, "upstream", complete, 0, 0, int(ms * 1e6))
    return seen


async def logged(tmp_path: Path, *exchanges: Exchange, **settings: Any) -> list[dict[str, Any]]:
    """The lines that an instance writes between start and stop."""
    path = tmp_path / "access.log"
    plugin, gateway = AccessLog(AccessLogConfig(path=str(path), **settings), "access-log"), Gateway()
    await plugin.startup(gateway)
    for exchange in exchanges:
        plugin.on_complete(exchange)
    await plugin.shutdown(gateway)
    return [json.loads(line) for line in path.read_text().splitlines()]


async def kept(tmp_path: Path, *exchanges: Exchange, **settings: Any) -> list[int]:
    """The statuses of the exchanges that get a line."""
    return [line["status"] for line in await logged(tmp_path, *exchanges, **settings)]


async def test_a_line_for_every_exchange(tmp_path: Path) -> None:
    lines = await logged(tmp_path, done(200), done(404), done(500))

    assert [line["status"] for line in lines] == [200, 404, 500]
    assert lines[0]["ts"] == "1970-01-01T12:00:00.000Z"


async def test_settings_reach_the_line(tmp_path: Path) -> None:
    seen = done(headers=Headers({"X-Own": "secret", "Accept": "a"}), query="own=secret&x-own=secret&b=1")

    lines = await logged(
        tmp_path,
        seen,
        fields=("status", "query"),
        rename={"status": "code"},
        request_headers=("X-Own", "Accept"),
        redact=("X-Own",),
        query="all",
    )

    assert lines == [
        {
            "code": 200,
            "query": "own=secret&x-own=***&b=1",
            "request_headers": {"x-own": "***", "accept": "a"},
        }
    ]


@pytest.mark.parametrize(
    ("only", "statuses"),
    [
        (Only(statuses=(404, "5xx")), [404, 500]),
        (Only(min_duration=0.5), [201]),
        (Only(errors=True), [499, 500]),
        (Only(statuses=("200-299",), errors=True), [200, 201, 499, 500]),
        (Only(), []),
    ],
)
async def test_only_chooses(tmp_path: Path, only: Only, statuses: list[int]) -> None:
    mix = (done(200), done(201, ms=500), done(404, ms=499.9), done(499, complete=False), done(500))

    assert await kept(tmp_path, *mix, only=only) == statuses


async def test_sampling_never_loses_an_error(tmp_path: Path) -> None:
    mix = (done(200), done(404), done(500), done(200, complete=False), done(503))

    assert await kept(tmp_path, *mix, sample=0) == [500, 200, 503]


async def test_sampling_keeps_about_its_share(tmp_path: Path) -> None:
    lines = await kept(tmp_path, *(done() for _ in range(2000)), sample=0.25)

    assert 350 < len(lines) < 650


async def test_sampling_comes_after_only(tmp_path: Path) -> None:
    assert await kept(tmp_path, done(404), done(500), only=Only(statuses=(404,)), sample=0) == []


async def test_describe_counts(tmp_path: Path) -> None:
    plugin, gateway = AccessLog(AccessLogConfig(path=str(tmp_path / "log"), buffer=65536), "a"), Gateway()
    for _ in range(1000):
        plugin.on_complete(done())
    await plugin.startup(gateway)
    await plugin.shutdown(gateway)

    told = plugin.describe(gateway)

    assert told["written"] + told["dropped"] == 1000
    assert told["dropped"] > 0
    assert (told["lost"], told["waiting_bytes"], told["error"]) == (0, 0, None)


async def test_an_output_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    plugin, gateway = AccessLog(AccessLogConfig(path=str(tmp_path / "no" / "log")), "a"), Gateway()

    with pytest.raises(SporkError, match=r"a: cannot write to .* a folder that exists"):
        await plugin.startup(gateway)

    await plugin.shutdown(gateway)


async def test_a_line_after_the_stop_does_no_harm(tmp_path: Path) -> None:
    plugin, gateway = AccessLog(AccessLogConfig(path=str(tmp_path / "log")), "a"), Gateway()
    await plugin.startup(gateway)
    await plugin.shutdown(gateway)

    plugin.on_complete(done())
    await plugin.shutdown(gateway)


async def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    plugin, gateway = AccessLog(AccessLogConfig(format="text", fields=("status",)), "a"), Gateway()
    await plugin.startup(gateway)
    plugin.on_complete(done(204))
    await plugin.shutdown(gateway)

    assert capfd.readouterr().out == "status=204\n"


def test_statuses_as_written() -> None:
    assert statuses_of((404, "5XX", "300-302")) == {404, *range(500, 600), 300, 301, 302}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"path": "access.log"}, "is not the absolute path of a file"),
        ({"path": "/var/log/"}, "is not the absolute path of a file"),
        ({"fields": ("stauts",)}, 'did you mean "status"'),
        ({"fields": ("ts", "ts")}, "keep one"),
        ({"rename": {"nope": "x"}}, "fields are: ts, "),
        ({"rename": {"ts": "a b"}}, "use letters"),
        ({"rename": {"ts": "status"}}, "would both be called"),
        ({"request_headers": ("X A",)}, "is not a header name"),
        ({"response_headers": ("Vary", "vary")}, "keep one"),
        ({"redact": (" ",)}, "hides nothing"),
        ({"sample": 1.5}, "from 0"),
        ({"buffer": 100}, "64KiB or more"),
    ],
)
def test_a_bad_config_is_refused_with_a_remedy(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        AccessLogConfig(**settings)


@pytest.mark.parametrize("status", ["6", "abc", "0xx", "500-", "1000"])
def test_a_bad_status_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match="write it like 404, 5xx or 400-499"):
        Only(statuses=(status,))


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match='write "400-499"'):
        Only(statuses=("499-400",))
