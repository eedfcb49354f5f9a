"""Tokens of X-Spork-Explain: good for a while, for what they say, and for nobody who does not know the secret."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.config import loads
from spork_core.errors import ConfigError, ExplainRefused
from spork_core.explain import tokens
from spork_core.registry import Registry

SECRET = "0123456789abcdef" * 2
NOW = 1_800_000_000.0


def refusal(text: str, now: float = NOW, secret: str = SECRET) -> str:
    with pytest.raises(ExplainRefused) as caught:
        tokens.read(text, secret, now)
    return caught.value.detail


def signed(payload: Any) -> str:
    """A token with this payload, and a signature that holds."""
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()
    return f"v1.{body}.{tokens._text(tokens._signature(SECRET, body))}"


def test_a_token_says_until_when_and_for_what() -> None:
    token = tokens.read(tokens.make(SECRET, NOW, 60, method="GET", prefix="/users/"), SECRET, NOW + 59)

    assert (token.expires, token.method, token.prefix) == (NOW + 60, "GET", "/users")
    assert str(token) == "GET /users"


def test_no_two_tokens_are_the_same() -> None:
    assert tokens.make(SECRET, NOW) != tokens.make(SECRET, NOW)


def test_a_token_ends_when_it_says() -> None:
    token = tokens.make(SECRET, NOW, 60)

    assert refusal(token, NOW + 60) == (
        "The token in X-Spork-Explain has expired; make another one with `spork explain --token`."
    )


def test_a_token_of_another_secret_is_refused() -> None:
    assert "another secret" in refusal(tokens.make(SECRET, NOW), secret=SECRET[::-1])


@pytest.mark.parametrize("lifetime", [0, -1, tokens.LONGEST + 1, float("nan"), float("inf")])
def test_no_token_is_made_for_longer_than_a_day_or_no_time_at_all(lifetime: float) -> None:
    with pytest.raises(ValueError, match="a day at most"):
        tokens.make(SECRET, NOW, lifetime)


def test_a_token_that_is_good_for_longer_than_a_day_is_refused_whoever_signed_it() -> None:
    assert "longer than a day" in refusal(signed(["n", NOW + 2 * tokens.LONGEST, "", ""]))


def test_a_path_that_makes_a_token_too_long_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="too long"):
        tokens.make(SECRET, NOW, prefix="/" + "x" * 2000)


@pytest.mark.parametrize(
    "text",
    ["", "v1", "v1..", "v1.a.b.c", "v2.a.b", "v1.ä.b", "v1.\udcff.b", "x" * 9000, "v1." + "a" * 9000, "v1.a.%%%"],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    assert "spork explain --token" in refusal(text)


@given(st.integers(min_value=0, max_value=10_000), st.characters())
def test_a_token_with_any_character_changed_is_refused(at: int, character: str) -> None:
    token = tokens.make(SECRET, NOW)
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]

    try:
        read = tokens.read(changed, SECRET, NOW)
    except ExplainRefused:
        return
    # The last character of base64 has bits to spare: what is signed is still the same.
    assert changed.rpartition(".")[0] == token.rpartition(".")[0]
    assert read == tokens.read(token, SECRET, NOW)


@given(st.text())
def test_any_text_is_a_token_or_refused(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    ("method", "prefix", "path", "fits"),
    [
        ("", "", "/anything", True),
        ("GET", "", "/anything", True),
        ("POST", "", "/anything", False),
        ("", "/users", "/users", True),
        ("", "/users", "/users/7", True),
        ("", "/users", "/users2", False),
        ("", "/users", "/", False),
        ("", "/", "/users", True),
        ("", "/users", "*", False),
    ],
)
def test_a_token_may_be_for_some_requests_only(method: str, prefix: str, path: str, fits: bool) -> None:
    token = tokens.read(tokens.make(SECRET, NOW, method=method, prefix=prefix), SECRET, NOW)

    if fits:
        tokens.check(token, "GET", path)
    else:
        with pytest.raises(ExplainRefused, match="is for other requests"):
            tokens.check(token, "GET", path)


@pytest.mark.parametrize("text", ["explain: short", "explain: {secret: short}", 'explain: "${env:KEY}"'])
def test_a_secret_that_somebody_might_guess_is_refused_at_load_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, plugins=Registry({}), environ={"KEY": "short"})

    (problem,) = caught.value.problems
    assert problem.path.startswith("$.explain")
    assert problem.message.startswith("must be 32 characters or more")
    assert "short" not in str(problem)


def test_a_long_secret_may_stand_there_alone() -> None:
    assert loads(f"explain: {SECRET}", plugins=Registry({}), environ={}).explain is not None
