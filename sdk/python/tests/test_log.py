"""Log lines as the host reads them."""

from __future__ import annotations

import json
import logging

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


def test_long_lines_stay_json() -> None:
    try:
        raise ValueError("x" * 100_000)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"levelno": 40, "msg": "y" * 100_000, "exc_info": info})
    line = Formatter().format(record)
    assert len(line) < 32 << 10, "the host would cut it"
    assert json.loads(line)["stack"].endswith("x\n")
