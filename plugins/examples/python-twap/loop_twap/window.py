"""What the oracles of a TWAP agree on, and the bytes that they exchange. All of it is pure, and what is decoded is untrusted.

The bytes are written out by hand: all oracles, whatever machine and version they run, must compute the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

WIDTH = 24  # bytes of a value: Solidity's int192
SAMPLE = 4 + WIDTH  # a unix time in seconds, and a value
VERSION = 1
LONGEST_WINDOW = 600
"""Seconds. An outcome has at most a sample for each of them, and two more."""

MAX_OBSERVATION = SAMPLE


def max_outcome(n: int) -> int:
    """Version, number of observers, observers, a sample of each second of the longest window, its first, and one before it."""
    return 2 + n + (LONGEST_WINDOW + 2) * SAMPLE


class DecodeError(ValueError):
    """Bytes that are not what they should be."""


@dataclass(frozen=True)
class Sample:
    """A value from a time on."""

    at: int
    value: int


@dataclass(frozen=True)
class Outcome:
    """What oracles agree on."""

    samples: tuple[Sample, ...] = ()
    """Those of the window in the order of their times, and the one with which it begins."""
    observers: tuple[int, ...] = ()
    """Who observed the last sample. Empty: there was none in this round, and there is nothing to report."""


def encode_sample(sample: Sample) -> bytes:
    """Raises OverflowError."""
    return sample.at.to_bytes(4, "big") + sample.value.to_bytes(WIDTH, "big", signed=True)


def decode_sample(encoded: bytes) -> Sample:
    return Sample(int.from_bytes(encoded[:4], "big"), int.from_bytes(encoded[4:], "big", signed=True))


def decode_observation(encoded: bytes) -> Sample | None:
    """None is an oracle that saw nothing."""
    if not encoded:
        return None
    if len(encoded) != SAMPLE:
        raise DecodeError(f"has {len(encoded)} bytes; an observation has {SAMPLE}, or none")
    return decode_sample(encoded)


def encode_outcome(outcome: Outcome) -> bytes:
    head = bytes((VERSION, len(outcome.observers), *outcome.observers))
    return head + b"".join(map(encode_sample, outcome.samples))


def decode_outcome(encoded: bytes) -> Outcome:
    """The empty outcome is the one before the first."""
    if not encoded:
        return Outcome()
    if len(encoded) < 2 or encoded[0] != VERSION:
        raise DecodeError("the outcome is of another version of this product; all oracles must run the same")
    head = 2 + encoded[1]
    if len(encoded) < head or (len(encoded) - head) % SAMPLE:
        raise DecodeError("the outcome is cut off")
    samples = tuple(decode_sample(encoded[i : i + SAMPLE]) for i in range(head, len(encoded), SAMPLE))
    return Outcome(samples, tuple(encoded[2:head]))


def advance(window: int, f: int, previous: Outcome, observations: Iterable[tuple[int, bytes]]) -> Outcome:
    """The outcome after a round, from the previous one and from what oracles observed.

    If fewer than 2f+1 saw something, their median could be that of a faulty oracle: nothing is added then.
    """
    seen: list[tuple[int, Sample]] = []
    for observer, encoded in observations:
        try:
            sample = decode_observation(encoded)
        except DecodeError:
            continue
        if sample is not None:
            seen.append((observer, sample))
    if len(seen) <= 2 * f:
        return Outcome(previous.samples)
    at = median(sample.at for _, sample in seen)
    value = median(sample.value for _, sample in seen)
    before = previous.samples
    if before:
        at = max(at, before[-1].at)  # the clocks of oracles differ, and time must not go back
    samples = [s for s in before if s.at < at] + [Sample(at, value)]
    while len(samples) > 1 and samples[1].at <= at - window:
        del samples[0]
    return Outcome(tuple(samples), tuple(sorted(observer for observer, _ in seen)))


def median(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def average(window: int, samples: tuple[Sample, ...]) -> int:
    """The values of the window's seconds up to the last sample, each weighed by its seconds and rounded down.

    Each sample lasts until the next one. A history that is shorter than the window is averaged as far as it goes.
    """
    begin = samples[-1].at - window
    total = weight = 0
    for sample, after in pairwise(samples):
        seconds = after.at - max(sample.at, begin)
        total += sample.value * seconds
        weight += seconds
    return total // weight if weight else samples[-1].value
