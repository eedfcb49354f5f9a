"""Properties: nobody is allowed whom an independent reading of the config does not allow, and memory is bounded."""

import string

from hypothesis import given
from hypothesis import strategies as st
from spork_cors import CorsConfig
from spork_cors.deciding import REMEMBERED, Decisions

ALLOWED = ("https://app.example.com", "http://localhost:3000", "https://*.example.org", "https://*.a-b.test:8443")
DECISIONS = Decisions(CorsConfig(allow_origins=ALLOWED, allow_headers=("x-a",), allow_credentials=True))

LABELS = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=5)
NEAR = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["https://", "http://", "HTTPS://", "https:/", " https://", ""]),
        st.lists(st.one_of(LABELS, st.sampled_from(["", "*", "EVIL", "a b", "é", "x\n", "%2e"])), max_size=3).map(
            lambda labels: "".join(f"{label}." for label in labels)
        ),
        st.sampled_from(
            ["example.org", "app.example.com", "localhost", "a-b.test", "example.orgx", "xexample.org", "example.org."]
        ),
        st.sampled_from(["", ":443", ":3000", ":8443", "/", ":", "\n", ".evil.example", "@evil.example", ", *", "#"]),
    ),
)
WORDS = set(string.ascii_lowercase + string.digits + "_-")


def may(origin: str) -> bool:
    """By hand, without a regular expression."""
    if origin in ("https://app.example.com", "http://localhost:3000"):
        return True
    for suffix in (".example.org", ".a-b.test:8443"):
        if origin.startswith("https://") and origin.endswith(suffix) and len(origin) <= 512:
            labels = origin[len("https://") : -len(suffix)].split(".")
            return all(label and set(label) <= WORDS and "-" not in (label[0], label[-1]) for label in labels)
    return False


@given(st.one_of(NEAR, st.text(), st.sampled_from(ALLOWED)))
def test_only_an_origin_that_is_allowed_is_ever_named(origin: str) -> None:
    fields = DECISIONS.fields(origin)
    permission = DECISIONS.preflight(origin, "GET", "x-a")

    assert fields.get("Access-Control-Allow-Origin") == (origin if may(origin) else None)
    assert isinstance(permission, str) is not may(origin)
    assert fields["Vary"] == "Origin"


@given(st.text(), st.text(), st.lists(st.sampled_from(["x-a", "X-A", "", " ", "x-b", "x a"])))
def test_a_preflight_repeats_nothing_that_the_config_does_not_say(origin: str, method: str, wanted: list[str]) -> None:
    answer = DECISIONS.preflight("https://app.example.com", method, ",".join(wanted))

    assert isinstance(answer, str) or answer == DECISIONS.preflight("https://app.example.com", "GET", "")


def test_what_is_remembered_is_bounded_and_named_origins_stay() -> None:
    decisions = Decisions(CorsConfig(allow_origins=ALLOWED))

    for number in range(3 * REMEMBERED):
        decisions.fields(f"https://evil-{number}.example")
        decisions.fields(f"https://good-{number}.example.org")
        decisions.preflight(f"https://{number}.example.org", "GET", "x-a")
        decisions.preflight("https://app.example.com", "GET", f"x-{number}" * 500)

    assert len(decisions.known) <= REMEMBERED + 3
    assert len(decisions._preflights) <= REMEMBERED
    assert {None, "https://app.example.com", "http://localhost:3000"} <= set(decisions.known)


def test_a_long_origin_is_refused_and_not_kept() -> None:
    decisions = Decisions(CorsConfig(allow_origins=ALLOWED))

    assert "Access-Control-Allow-Origin" not in decisions.fields("https://" + "a." * 300 + "example.org")
    assert len(decisions.known) == 3
