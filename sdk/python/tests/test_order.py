"""The order of Go's sort. TestPythonAgrees of plugins/median compares it with Go itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loop_plugin import sorted_as_go


@given(st.lists(st.integers(-3, 3) | st.integers(), max_size=300))
def test_sorts(keys: list[int]) -> None:
    elements = list(enumerate(keys))
    got = sorted_as_go(elements, key=lambda e: e[1])
    assert [key for _, key in got] == sorted(keys)
    assert sorted(got) == elements, "elements were lost"


@given(st.lists(st.integers(-3, 3), max_size=12))
def test_few_elements_keep_their_order(keys: list[int]) -> None:
    elements = list(enumerate(keys))
    assert sorted_as_go(elements, key=lambda e: e[1]) == sorted(elements, key=lambda e: e[1])


def test_as_go_1_26() -> None:
    """Indices of the elements i*7%5 for i below 40, as sort.Slice of Go 1.26 leaves them."""
    got = sorted_as_go(list(range(40)), key=lambda i: i * 7 % 5)
    assert got == GO_40


GO_40 = [
    20,
    10,
    35,
    30,
    0,
    5,
    25,
    15,
    28,
    3,
    8,
    38,
    33,
    13,
    18,
    23,
    26,
    11,
    1,
    36,
    6,
    21,
    16,
    31,
    34,
    14,
    24,
    39,
    19,
    29,
    9,
    4,
    7,
    12,
    22,
    2,
    32,
    37,
    17,
    27,
]
