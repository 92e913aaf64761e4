"""Log lines as the host reads them: one JSON object a line on stderr, in the form of Go's slog."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
import traceback
from bisect import bisect_right
from itertools import islice
from types import TracebackType
from typing import Any

# What logging itself puts into a record; everything else came by `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# The host keeps 32 KiB of a line, with what ends it, and a cut line is not JSON.
LONGEST_LINE = (32 << 10) - 1
# Of a line with more fields, the first remain: each has room for some 300 bytes at least.
MOST_FIELDS = 100
SLOG = {"DEBUG": -4, "INFO": 0, "WARN": 4, "ERROR": 8}


def level_of(text: str) -> int:
    """logging's number for slog's level, such as "WARN" or "DEBUG-4". A host that says nothing wants INFO.

    Its lowest is 1: by 0 a logger would take the level of the one above it.
    """
    name = text.strip().upper()
    for sign in "+-":
        base, found, offset = name.partition(sign)
        if found and base in SLOG and offset.isdigit():
            return max(1, 20 + int((SLOG[base] + int(sign + offset)) * 2.5))
    return 20 + int(SLOG.get(name, 0) * 2.5)


def slog_level(number: int) -> str:
    """slog's name for logging's number."""
    for name in ("ERROR", "WARN", "INFO", "DEBUG"):
        at_least = 20 + int(SLOG[name] * 2.5)
        if number >= at_least:
            above = round((number - at_least) / 2.5)
            if name != "ERROR":
                above = min(above, 3)  # at 4 the next name begins
            return f"{name}+{above}" if above else name
    return f"DEBUG-{max(1, round((10 - number) / 2.5))}"


class Formatter(logging.Formatter):
    """One record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": slog_level(record.levelno),
            "msg": _message(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = f"{record.exc_info[0].__name__}: {_text(record.exc_info[1])}"
            line["stack"] = "".join(traceback.format_exception(*record.exc_info))
        for key, value in vars(record).items():
            if key not in STANDARD:
                line.setdefault(key, value)
        return encode(line)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # logging itself would print it as text
        return f"{_text(record.msg)} (its arguments do not fit: {_text(error)})"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"a {type(value).__name__}, whose text raises {type(error).__name__}"


def _json(value: object) -> str:
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except Exception:  # for what JSON does not have, such as NaN and lists that contain themselves
        return json.dumps(_text(value))


def encode(line: dict[str, object]) -> str:
    """A line as JSON in ASCII, of at most LONGEST_LINE characters. The longest values are cut for it."""
    fields = {_json(str(key)): _json(value) for key, value in islice(line.items(), MOST_FIELDS)}
    longest = _share([len(key) + len(value) + len(":,") for key, value in fields.items()], LONGEST_LINE - len("{}"))
    parts = []
    for key, value in fields.items():
        room = longest - len(key) - len(":,")
        if room < len('""'):  # the key itself is too long
            continue
        if len(value) > room:
            value = _cut(value, room, from_end=key == '"stack"')
        parts.append(f"{key}:{value}")
    return "{" + ",".join(parts) + "}"


def _share(sizes: list[int], most: int) -> int:
    """The size to which the largest must be cut for all to have no more than most together."""
    for number, size in enumerate(sorted(sizes)):
        share = most // (len(sizes) - number)
        if size > share:
            return share
        most -= size
    return max(sizes)


def _cut(value: str, room: int, from_end: bool) -> str:
    """The beginning of a value in JSON as a string of at most so many characters. A traceback keeps its end instead,
    where the error is."""
    text: str = json.loads(value) if value.startswith('"') else value

    def string(length: int) -> str:
        return json.dumps(text[len(text) - length :] if from_end else text[:length])

    # An escape takes up to 12 characters.
    return string(bisect_right(range(len(text)), room, key=lambda length: len(string(length))) - 1)


def start(level: str) -> logging.Logger:
    """Send all logging to stderr and return the plugin's own logger.

    The plugin's lines are logged from the host's level on. Those of libraries are logged from WARNING on at the lowest:
    some log addresses at INFO, and an address may hold a key.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, level_of(level)))
    logger = logging.getLogger("plugin")
    logger.setLevel(level_of(level))

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logger.critical("the plugin ends by an exception", exc_info=(kind, error, trace))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            logger.error("a thread ended by an exception", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        error = args.exc_value or args.exc_type()
        logger.error(
            args.err_msg or "an exception was raised where nothing catches it",
            exc_info=(args.exc_type, error, args.exc_traceback),
            extra={"where": args.object},
        )

    logging.captureWarnings(True)
    sys.excepthook = uncaught
    sys.unraisablehook = unraisable
    threading.excepthook = uncaught_in_thread
    return logger


def watch(loop: asyncio.AbstractEventLoop, logger: logging.Logger) -> None:
    """Log the exceptions of tasks that nobody awaited."""

    def uncaught(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        logger.error(
            str(context.get("message", "a task failed")),
            exc_info=(type(error), error, error.__traceback__) if isinstance(error, BaseException) else None,
        )

    loop.set_exception_handler(uncaught)
