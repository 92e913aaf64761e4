"""Makes reports.json, with nothing but Python's own library, from the description of the report and from Go's sort alone:

    python3 reports.py > reports.json

A vector is a list of observations, the observers in the order in which the report names them, and the SHA-256 of the report. Two
of the four figures of its observations are equal for many oracles and the other two for none, or all four are for many.
"""

import hashlib
import json
from itertools import combinations

FIGURES = ["time", "value", "juels", "gas"]
TIME, VALUE, JUELS, GAS = range(4)
OBSERVER = 4


def sort(d, figure):
    """Sorts as Go's sort.Slice does (sort/zsortfunc.go of Go 1.26) a list of at most 31: where equal ones come to stand is part of the
    report. What is left out there is not reached with so few: the other pivots from 50 on, and the heap below five uneven cuts."""

    def less(i, j):
        return d[i][figure] < d[j][figure]

    def swap(i, j):
        d[i], d[j] = d[j], d[i]

    def insert(a, b):
        for i in range(a + 1, b):
            for j in range(i, a, -1):
                if not less(j, j - 1):
                    break
                swap(j, j - 1)

    def median(a, b):
        swaps, three = 0, [a + (b - a) // 4 * q for q in (1, 2, 3)]
        for i in (0, 1, 0):
            if less(three[i + 1], three[i]):
                three[i], three[i + 1], swaps = three[i + 1], three[i], swaps + 1
        return three[1], swaps

    def shake(a, b):
        n = x = b - a
        for at in range(a + n // 4 * 2 - 1, a + n // 4 * 2 + 2):
            x ^= x << 13 & 0xFFFFFFFFFFFFFFFF
            x ^= x >> 7
            x ^= x << 17 & 0xFFFFFFFFFFFFFFFF
            other = x & (1 << n.bit_length()) - 1
            swap(at, a + (other - n if other >= n else other))

    def cut(a, b, low, high):
        """Brings what is low to the left of what is high, and says where the high begin and whether they did so before."""
        i, j, untouched = a, b - 1, True
        while True:
            while i <= j and low(i):
                i += 1
            while i <= j and high(j):
                j -= 1
            if i > j:
                return i, untouched
            swap(i, j)
            i, j, untouched = i + 1, j - 1, False

    def run(a, b, left):
        even = untouched = True
        while b - a > 12:
            n = b - a
            assert left > 0
            if not even:
                shake(a, b)
                left -= 1
            pivot, swaps = median(a, b)
            if even and untouched and swaps == 0 and not any(less(i, i - 1) for i in range(a + 1, b)):
                return
            equal = a > 0 and not less(a - 1, pivot)
            swap(a, pivot)
            if equal:
                a, _ = cut(a + 1, b, lambda i: not less(a, i), lambda j: less(a, j))
                continue
            high, untouched = cut(a + 1, b, lambda i: less(i, a), lambda j: not less(j, a))
            mid = high - 1
            swap(mid, a)
            even = min(mid - a, b - mid) >= n // 8
            if mid - a < b - mid:
                run(a, mid, left)
                a = mid + 1
            else:
                run(mid + 1, b, left)
                b = mid
        insert(a, b)

    run(0, len(d), len(d).bit_length())


def report(observations):
    d, n, medians = list(observations), len(observations), {}
    for figure in (TIME, JUELS, GAS, VALUE):
        sort(d, figure)
        medians[figure] = d[n // 2][figure]
    observers = [o[OBSERVER] for o in d]
    words = [medians[TIME], int.from_bytes(bytes([1] + observers).ljust(32, b"\0"), "big"), n]
    words += [o[VALUE] for o in d] + [medians[JUELS], medians[GAS]]
    return observers, b"".join(w.to_bytes(32, "big") for w in words)


def shuffled(items, *seed):
    return sorted(items, key=lambda i: hashlib.sha256(repr((seed, i)).encode()).digest())


BASE = {TIME: 1_700_000_000, VALUE: 200_000_000_000, JUELS: 451_000, GAS: 3_000_000_000}

vectors = []
for n in range(4, 32):
    for ties in [*combinations(range(4), 2), range(4)]:
        columns = {}
        for figure in range(4):
            apart = shuffled(range(n), "figure", n, list(ties), figure)
            columns[figure] = [BASE[figure] + (i % 3 if figure in ties else i) for i in apart]
        observers = shuffled(range(n), "observer", n, list(ties))
        observations = [[columns[f][i] for f in range(4)] + [observers[i]] for i in range(n)]
        order, text = report(observations)
        vectors.append({
            "ties": [FIGURES[f] for f in ties], "observations": observations, "observers": order,
            "sha256": hashlib.sha256(text).hexdigest(),
        })

print("[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in vectors) + "\n]")
