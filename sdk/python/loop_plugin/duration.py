"""How long calls took, as a histogram that costs a call next to nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Durations(Collector):
    """A histogram by labels, only for the event loop: prometheus_client's own takes two locks for each value, which
    cost a tenth of a call's time."""

    def __init__(self, name: str, about: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        """buckets are upper bounds in seconds, ascending."""
        self.name, self.about, self.labels, self.buckets = name, about, labels, buckets
        # How many values fell into each bucket, the last one without a bound, and their sum.
        self.values: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, labelled: tuple[str, ...], seconds: float) -> None:
        of = self.values.get(labelled)
        if of is None:
            of = self.values[labelled] = ([0] * (len(self.buckets) + 1), [0.0])
        counts, total = of
        counts[bisect_left(self.buckets, seconds)] += 1
        total[0] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self.name, self.about, labels=self.labels)
        for labelled, (counts, total) in self.values.items():
            below, bounds = 0, []
            for bound, count in zip([*map(str, map(float, self.buckets)), "+Inf"], counts, strict=True):
                below += count
                bounds.append((bound, below))
            family.add_metric(labelled, bounds, total[0])
        yield family
