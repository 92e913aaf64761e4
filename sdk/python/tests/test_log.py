"""Log lines as the host reads them."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from typing import Any

import pytest

from loop_plugin.log import Formatter, level_of, slog_level


@pytest.mark.parametrize(
    ("text", "number", "back"),
    [
        ("DEBUG", 10, "DEBUG"), ("INFO", 20, "INFO"), ("WARN", 30, "WARN"), ("ERROR", 40, "ERROR"),
        ("DEBUG-3", 3, "DEBUG-3"), ("DEBUG-4", 1, "DEBUG-4"), ("DEBUG-9", 1, "DEBUG-4"), ("INFO+1", 22, "INFO+1"),
        ("ERROR+4", 50, "ERROR+4"), ("", 20, "INFO"), ("nonsense", 20, "INFO"),
    ],
)  # fmt: skip
def test_levels(text: str, number: int, back: str) -> None:
    assert level_of(text) == number
    assert slog_level(number) == back


def test_lines() -> None:
    record = logging.makeLogRecord({"levelno": logging.WARNING, "msg": "a\nb %s", "args": ("c",), "height": 7, "odd": object})
    line = Formatter().format(record)
    assert "\n" not in line
    got = json.loads(line)
    assert (got["level"], got["msg"], got["height"], got["odd"]) == ("WARN", "a\nb c", 7, "<class 'object'>")
    assert set(got) == {"time", "level", "msg", "height", "odd"}


def strict(line: str) -> dict[str, Any]:
    """Read a line as the node does, which knows neither NaN nor lines over 32 KiB."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    assert len(line.encode()) + 1 <= 32 << 10, "the host would cut it"
    got: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return got


@pytest.mark.parametrize("letter", ["x", "\n", "é", "€", "😀", "\ud800"])
def test_long_lines_stay_json(letter: str) -> None:
    try:
        raise ValueError(letter * 100_000)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    fields = {"levelno": 40, "msg": letter * 100_000, "exc_info": info, "long": letter * 100_000, "list": [letter] * 9_000}
    got = strict(Formatter().format(logging.makeLogRecord({**fields, "short": 7})))
    assert got["short"] == 7 and got["level"] == "ERROR"
    assert got["stack"].endswith(letter + "\n") and got["error"].startswith(f"ValueError: {letter}")
    assert got["msg"] == letter * len(got["msg"]) and got["long"] == letter * len(got["long"])
    assert got["list"].startswith('["')
    assert all(len(json.dumps(got[key])) > 6_000 for key in ("msg", "error", "stack", "long", "list")), "cut too short"


@pytest.mark.parametrize("extra", [{f"key {i}": i for i in range(10_000)}, {"k" * 100_000: 1, "short": 7}])
def test_lines_of_many_or_long_keys_stay_json(extra: dict[str, int]) -> None:
    got = strict(Formatter().format(logging.makeLogRecord({"levelno": 20, "msg": "a", **extra})))
    assert got["msg"] == "a" and got.get("short", 7) == 7


def test_a_line_that_fits_is_not_cut() -> None:
    record = logging.makeLogRecord({"levelno": 30, "msg": "y" * 30_000, "level": "an attribute"})
    got = strict(Formatter().format(record))
    assert got["msg"] == "y" * 30_000 and got["level"] == "WARN"


class Broken:
    def __str__(self) -> str:
        raise ValueError


def test_what_json_does_not_have() -> None:
    loop: list[object] = []
    loop.append(loop)
    values = {
        "nan": math.nan,
        "least": -math.inf,
        "within": {"a": [math.inf]},
        "loop": loop,
        "keys": {(1, 2): 3},
        "broken": Broken(),
    }
    got = strict(Formatter().format(logging.makeLogRecord({"levelno": 20, "msg": "%d", "args": ("a",), **values})))
    assert (got["nan"], got["least"], got["within"]) == ("nan", "-inf", "{'a': [inf]}")
    assert (got["loop"], got["keys"]) == ("[[...]]", "{(1, 2): 3}")
    assert got["broken"] == "a Broken, whose text raises ValueError"
    assert got["msg"].startswith("%d (its arguments do not fit: ")


RAW = """
import asyncio, warnings
from loop_plugin import log

class Ending:
    def __del__(self):
        raise ValueError("at the end")

async def forgotten():
    pass

log.start("INFO")
warnings.warn("odd")
forgotten()
Ending()
"""


def test_what_python_itself_says_is_json() -> None:
    said = subprocess.run([sys.executable, "-c", RAW], capture_output=True, text=True, check=True).stderr
    lines = [strict(line) for line in said.splitlines()]
    odd, awaited, ignored = lines
    assert odd["level"] == "WARN" and "UserWarning: odd" in odd["msg"]
    assert awaited["level"] == "WARN" and "'forgotten' was never awaited" in awaited["msg"]
    assert ignored["level"] == "ERROR" and ignored["error"] == "ValueError: at the end" and "__del__" in ignored["where"]
