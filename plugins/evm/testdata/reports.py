"""Computes the reports beside this file, with nothing but Python's own library: run it by hand.

    python3 reports.py > reports.json

Observers with equal values stand in a report in the order in which the established node's three sorts leave them: by time, by juels, by
value, one slice, each with Go's sort.Slice. That is not stable above 12 elements, so that its algorithm (pdqsort) is written out here.
"""

import json

# ---- Go's sort.Slice ----


class Sort:
    def __init__(self, items, key):
        self.items, self.key = items, key
        self.sort(0, len(items), len(items).bit_length())

    def less(self, i, j):
        return self.key(self.items[i]) < self.key(self.items[j])

    def swap(self, i, j):
        self.items[i], self.items[j] = self.items[j], self.items[i]

    def sort(self, lo, hi, limit):
        balanced = partitioned = True
        while True:
            n = hi - lo
            if n <= 12:
                return self.insert(lo, hi)
            if limit == 0:
                return self.heap(lo, hi)
            if not balanced:
                self.scatter(lo, hi)
                limit -= 1
            pivot, swaps = self.pivot(lo, hi)
            if swaps == 12:  # falling
                self.items[lo:hi] = self.items[lo:hi][::-1]
                pivot, swaps = hi - 1 - (pivot - lo), 0
            if balanced and partitioned and swaps == 0 and self.rises(lo, hi):
                return
            if lo > 0 and not self.less(lo - 1, pivot):
                lo = self.split_equal(lo, hi, pivot)
                continue
            mid, partitioned = self.split(lo, hi, pivot)
            left, right = mid - lo, hi - mid
            balanced = min(left, right) >= n // 8
            if left < right:
                self.sort(lo, mid, limit)
                lo = mid + 1
            else:
                self.sort(mid + 1, hi, limit)
                hi = mid

    def insert(self, lo, hi):
        for i in range(lo + 1, hi):
            j = i
            while j > lo and self.less(j, j - 1):
                self.swap(j, j - 1)
                j -= 1

    def heap(self, lo, hi):
        n = hi - lo
        for i in range((n - 1) // 2, -1, -1):
            self.sift(i, n, lo)
        for i in range(n - 1, -1, -1):
            self.swap(lo, lo + i)
            self.sift(0, i, lo)

    def sift(self, root, n, first):
        while (child := 2 * root + 1) < n:
            if child + 1 < n and self.less(first + child, first + child + 1):
                child += 1
            if not self.less(first + root, first + child):
                return
            self.swap(first + root, first + child)
            root = child

    def scatter(self, lo, hi):
        n, random = hi - lo, hi - lo
        for i in range(lo + n // 4 * 2 - 1, lo + n // 4 * 2 + 2):
            random ^= random << 13 & 2**64 - 1
            random ^= random >> 7
            random ^= random << 17 & 2**64 - 1
            other = random & (1 << n.bit_length()) - 1
            self.swap(i, lo + (other - n if other >= n else other))

    def pivot(self, lo, hi):
        """The middle of three, and how many swaps told it. Slices of 50 and more, which take nine, do not occur."""
        quarter, swaps = (hi - lo) // 4, 0
        three = [lo + quarter, lo + 2 * quarter, lo + 3 * quarter]
        for i in (0, 1, 0):
            if self.less(three[i + 1], three[i]):
                three[i], three[i + 1] = three[i + 1], three[i]
                swaps += 1
        return three[1], swaps

    def rises(self, lo, hi):
        """Slices below 50 are only looked at."""
        return all(not self.less(i, i - 1) for i in range(lo + 1, hi))

    def split(self, lo, hi, pivot):
        self.swap(lo, pivot)
        i, j, first = lo + 1, hi - 1, True
        while True:
            while i <= j and self.less(i, lo):
                i += 1
            while i <= j and not self.less(j, lo):
                j -= 1
            if i > j:
                self.swap(j, lo)
                return j, first
            self.swap(i, j)
            i, j, first = i + 1, j - 1, False

    def split_equal(self, lo, hi, pivot):
        self.swap(lo, pivot)
        i, j = lo + 1, hi - 1
        while True:
            while i <= j and not self.less(lo, i):
                i += 1
            while i <= j and self.less(lo, j):
                j -= 1
            if i > j:
                return i
            self.swap(i, j)
            i, j = i + 1, j - 1


# ---- The report ----


def word(n):
    return n.to_bytes(32, "big", signed=True)


def report(observations):
    """(uint32 time, bytes32 observers, int192[] values, int192 juels), by the ABI's rules for a tuple with one dynamic part."""
    row, median = list(observations), {}
    for column in ("time", "juels", "value"):
        Sort(row, lambda o: o[column])
        median[column] = row[len(row) // 2][column]
    observers = bytes(o["observer"] for o in row).ljust(32, b"\0")
    head = word(median["time"]) + observers + word(4 * 32) + word(median["juels"])
    return head + word(len(row)) + b"".join(word(o["value"]) for o in row)


# ---- What is reported ----

seed = 1


def draw(most):
    """A number from 0 to most-1, the same at each run."""
    global seed
    seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
    return (seed >> 33) % most


def shuffled(n):
    row = list(range(n))
    for i in range(n - 1, 0, -1):
        j = draw(i + 1)
        row[i], row[j] = row[j], row[i]
    return row


TIES = [(), ("value",), ("value", "juels"), ("value", "time"), ("juels", "time"), ("value", "juels", "time")]
BASE = {"value": -3, "juels": 10**18, "time": 1_700_000_000}


def case(n, ties):
    columns = {"observer": shuffled(n)}
    for name, base in BASE.items():
        columns[name] = [base + (draw(3) if name in ties else k) for k in shuffled(n)]
    return [{name: columns[name][i] for name in columns} for i in range(n)]


LEAST, MOST = -(2**191), 2**191 - 1
WIDE = [
    {"observer": 30, "value": MOST, "juels": LEAST, "time": 2**32 - 1},
    {"observer": 2, "value": LEAST, "juels": MOST, "time": 0},
    {"observer": 7, "value": -1, "juels": -1, "time": 5},
    {"observer": 0, "value": LEAST, "juels": LEAST, "time": 2**32 - 1},
]
# What four nodes reported in the field, where a sort of the values alone gives 00 01 02 03.
FIELD = [{"observer": i, "value": v, "juels": j, "time": 1_700_000_000} for i, (v, j) in enumerate([(7, 2), (7, 1), (8, 1), (9, 1)])]

cases = {"the widest integers": WIDE, "ties told apart by juels": FIELD}
for n in range(4, 32):
    # Every kind of tie around the border between Go's two ways to sort and at the most observers; else one kind after the other.
    for ties in TIES if n in (4, 12, 13, 31) else [TIES[n % len(TIES)]]:
        cases[f"{n} observers, ties of {' and '.join(ties) or 'nothing'}"] = case(n, ties)
# Rows that rise and fall in all columns, which pdqsort treats apart.
for name, sign in (("rising", 1), ("falling", -1)):
    cases[f"31 observers, {name}"] = [{"observer": i, "value": sign * (i // 2), "juels": sign * (i // 3), "time": 100 + sign * (i // 5)} for i in range(31)]

print("{")
print(",\n".join(
    json.dumps(name) + ": " + json.dumps({
        "observers": [o["observer"] for o in row], "times": [o["time"] for o in row],
        "values": [str(o["value"]) for o in row], "juels": [str(o["juels"]) for o in row], "report": report(row).hex(),
    }, separators=(",", ":"))
    for name, row in cases.items()
))
print("}")
