"""Which format a client gets, whatever it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_metrics.exposition import expose
from spork_metrics.formats import Format

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; escaping=allow-utf-8", OPENMETRICS),
        ("application/openmetrics-text; version=2.0.0, text/plain", TEXT),
        ("application/openmetrics-text; q=0, text/plain", TEXT),
        ("text/plain; version=1.0.0", "text/plain; version=1.0.0; charset=utf-8"),
        ("text/html, */*", TEXT),
        ("", TEXT),
    ],
)
def test_the_first_format_that_is_known(accept: str, content_type: str) -> None:
    _, found = expose((), (), Format.of([accept], []))

    assert found.startswith(content_type)


@pytest.mark.parametrize(
    ("encoding", "zipped"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("gzippy", False),
        ("", False),
    ],
)
def test_gzip_where_it_is_welcome(encoding: str, zipped: bool) -> None:
    assert Format.of([], [encoding]).zipped is zipped


@given(st.lists(st.text(alphabet="text/plainopmcsv=1.0;,q* é\x00", max_size=80), max_size=3))
def test_nothing_that_is_said_breaks_it(accept: list[str]) -> None:
    expose((), (), Format.of(accept, accept))
