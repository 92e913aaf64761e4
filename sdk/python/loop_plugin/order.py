"""The order in which Go's sort.Slice leaves elements that compare equal.

Sorting in Go is not stable, but it is the same on every machine, and where oracles sign what they sorted it is part of the
protocol: reports name the observers in the order of their values, and from 13 observations on, two oracles that leave
equal values in different orders sign different reports. So this follows Go's pattern-defeating quicksort step by step
(arXiv 2106.05123, with the constants of Go's package sort), and does not just sort.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

INSERTION = 12  # elements that are sorted by insertion
NINTHER = 50  # elements from which on the pivot is a median of medians
ALL_SWAPPED = 12  # comparisons that find a pivot among elements in falling order
ADJACENT = 5  # misplaced neighbours that an almost sorted list may have


def sorted_as_go(elements: list[T], key: Callable[[T], int]) -> list[T]:
    """Sort by key, with elements of equal keys where Go's sort.Slice would leave them."""
    sorter = _Sorter([(key(element), element) for element in elements])
    sorter.sort(0, len(elements), len(elements).bit_length())
    return [element for _, element in sorter.data]


class _Sorter(Generic[T]):
    def __init__(self, data: list[tuple[int, T]]) -> None:
        self.data = data

    def less(self, i: int, j: int) -> bool:
        return self.data[i][0] < self.data[j][0]

    def swap(self, i: int, j: int) -> None:
        self.data[i], self.data[j] = self.data[j], self.data[i]

    def sort(self, low: int, high: int, limit: int) -> None:
        """Sort [low, high). limit is how many lopsided partitions are allowed before heapsort takes over."""
        balanced = partitioned = True
        while high - low > INSERTION:
            size = high - low
            if limit == 0:
                self.heap(low, high)
                return
            if not balanced:
                self.shuffle(low, size)
                limit -= 1
            pivot, swaps = self.choose(low, size)
            rising = swaps == 0
            if swaps == ALL_SWAPPED:
                self.data[low:high] = self.data[low:high][::-1]
                pivot, rising = high - 1 - (pivot - low), True
            if balanced and partitioned and rising and self.almost_sorted(low, high):
                return
            if low > 0 and not self.less(low - 1, pivot):
                low = self.split_equal(low, high, pivot)
                continue
            middle, partitioned = self.split(low, high, pivot)
            left, right = middle - low, high - middle
            balanced = min(left, right) >= size // 8
            if left < right:
                self.sort(low, middle, limit)
                low = middle + 1
            else:
                self.sort(middle + 1, high, limit)
                high = middle
        for i in range(low + 1, high):
            self.sink(i, low)

    def sink(self, i: int, low: int) -> None:
        """Move an element down to its place among those from low on."""
        while i > low and self.less(i, i - 1):
            self.swap(i, i - 1)
            i -= 1

    def heap(self, low: int, high: int) -> None:
        size = high - low
        for root in range((size - 1) // 2, -1, -1):
            self.sift(low, root, size)
        for last in range(size - 1, -1, -1):
            self.swap(low, low + last)
            self.sift(low, 0, last)

    def sift(self, low: int, root: int, size: int) -> None:
        while (child := 2 * root + 1) < size:
            if child + 1 < size and self.less(low + child, low + child + 1):
                child += 1
            if not self.less(low + root, low + child):
                return
            self.swap(low + root, low + child)
            root = child

    def shuffle(self, low: int, size: int) -> None:
        """Break a pattern that makes partitions lopsided, by numbers that depend only on the size."""
        state = size
        mask = (1 << size.bit_length()) - 1
        middle = low + size // 4 * 2
        for i in range(middle - 1, middle + 2):
            state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
            state ^= state >> 7
            state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
            other = state & mask
            self.swap(i, low + (other - size if other >= size else other))

    def choose(self, low: int, size: int) -> tuple[int, int]:
        """A pivot, and how many comparisons found their elements in falling order."""
        quarters = [low + size // 4 * n for n in (1, 2, 3)]
        swaps = 0
        if size >= NINTHER:
            for n, at in enumerate(quarters):
                quarters[n], more = self.median(at - 1, at, at + 1)
                swaps += more
        pivot, more = self.median(*quarters)
        return pivot, swaps + more

    def median(self, a: int, b: int, c: int) -> tuple[int, int]:
        swaps = 0
        if self.less(b, a):
            a, b, swaps = b, a, swaps + 1
        if self.less(c, b):
            b, c, swaps = c, b, swaps + 1
        if self.less(b, a):
            a, b, swaps = b, a, swaps + 1
        return b, swaps

    def almost_sorted(self, low: int, high: int) -> bool:
        """Fix a few misplaced neighbours; say whether that sorted all."""
        i = low + 1
        for _ in range(ADJACENT):
            while i < high and not self.less(i, i - 1):
                i += 1
            if i == high:
                return True
            if high - low < NINTHER:
                return False
            self.swap(i, i - 1)
            if i - low >= 2:
                self.sink(i - 1, 0)
            if high - i >= 2:
                j = i + 1
                while j < high and self.less(j, j - 1):
                    self.swap(j, j - 1)
                    j += 1
        return False

    def split(self, low: int, high: int, pivot: int) -> tuple[int, bool]:
        """Put what is less than the pivot before it; return its place and whether all was in place already."""
        self.swap(low, pivot)
        i, j = low + 1, high - 1
        swapped = False
        while True:
            while i <= j and self.less(i, low):
                i += 1
            while i <= j and not self.less(j, low):
                j -= 1
            if i > j:
                break
            self.swap(i, j)
            i, j, swapped = i + 1, j - 1, True
        self.swap(j, low)
        return j, not swapped

    def split_equal(self, low: int, high: int, pivot: int) -> int:
        """Put what equals the pivot, the least element, before the rest; return where the rest begins."""
        self.swap(low, pivot)
        i, j = low + 1, high - 1
        while True:
            while i <= j and not self.less(low, i):
                i += 1
            while i <= j and self.less(low, j):
                j -= 1
            if i > j:
                return i
            self.swap(i, j)
            i, j = i + 1, j - 1
