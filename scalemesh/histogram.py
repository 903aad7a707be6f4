"""How often something took how long: numbers that only ever grow, for whoever reads them now and then."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """``counts``, one more than ``bounds_s``: each of what is at most its bound and over the one before."""

    __slots__ = ("bounds_s", "counts", "sum_s")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds_s, seconds)] += 1
        self.sum_s += seconds
