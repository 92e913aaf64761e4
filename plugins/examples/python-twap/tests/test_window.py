"""The average, and the bytes that oracles exchange."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop_twap.window import (
    LONGEST_WINDOW,
    SAMPLE,
    DecodeError,
    Outcome,
    Sample,
    advance,
    average,
    decode_observation,
    decode_outcome,
    encode_outcome,
    encode_sample,
    max_outcome,
)

int192 = st.integers(-(1 << 191), (1 << 191) - 1)
samples = st.builds(Sample, st.integers(0, (1 << 32) - 1), int192)


@given(st.lists(samples, max_size=20), st.lists(st.integers(0, 254), max_size=31))
def test_outcomes_return(some: list[Sample], observers: list[int]) -> None:
    outcome = Outcome(tuple(some), tuple(observers))
    assert decode_outcome(encode_outcome(outcome)) == outcome


@given(st.binary(max_size=100))
def test_noise_is_refused_or_read(encoded: bytes) -> None:
    for decode in (decode_observation, decode_outcome):
        try:
            decode(encoded)
        except DecodeError:
            continue
    assert advance(10, 0, Outcome(), [(0, encoded)]).observers in ((), (0,))


def by_seconds(window: int, history: list[Sample]) -> int:
    """The average once more, second by second, over the whole history."""
    end = history[-1].at
    seconds = [
        next(s.value for s in reversed(history) if s.at <= second)
        for second in range(end - window, end)
        if history[0].at <= second
    ]
    if not seconds:
        return history[-1].value
    mean = Fraction(sum(seconds), len(seconds))
    return mean.numerator // mean.denominator


@given(
    st.integers(1, 50),
    st.lists(
        st.tuples(st.integers(-3, 30), st.lists(st.integers(-1000, 1000), min_size=3, max_size=4)), min_size=1, max_size=30
    ),
)
def test_average_is_that_of_seconds(window: int, rounds: list[tuple[int, list[int]]]) -> None:
    outcome, now = Outcome(), 1000
    history: list[Sample] = []
    for step, values in rounds:
        now += step
        outcome = advance(window, 1, outcome, [(i, encode_sample(Sample(now, v))) for i, v in enumerate(values)])
        at = max(now, history[-1].at) if history else now
        history = [s for s in history if s.at < at] + [Sample(at, sorted(values)[len(values) // 2])]
        assert outcome.observers == tuple(range(len(values)))
        assert average(window, outcome.samples) == by_seconds(window, history)


def test_outcomes_are_bounded() -> None:
    outcome = Outcome()
    for second in range(3 * LONGEST_WINDOW):
        outcome = advance(LONGEST_WINDOW, 10, outcome, [(i, encode_sample(Sample(second, i))) for i in range(31)])
        assert len(encode_outcome(outcome)) <= max_outcome(31)
    assert len(encode_outcome(outcome)) > max_outcome(31) - 2 * SAMPLE


@pytest.mark.parametrize("heard", [0, 1, 2])
def test_too_few_add_nothing(heard: int) -> None:
    before = Outcome((Sample(1, 5),), (0, 1, 2))
    sample = encode_sample(Sample(9, 7))
    got = advance(60, 1, before, [(i, sample if i < heard else b"") for i in range(4)])
    assert got == Outcome(before.samples)
