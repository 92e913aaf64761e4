"""Log lines as the host reads them: one JSON object a line on stderr, in the form of Go's slog."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any

# What logging itself puts into a record; everything else came by `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# The host keeps 32 KiB of a line, and a cut line is not JSON: a traceback keeps its end, where the error is.
LONGEST_STACK = 12 << 10
LONGEST_MESSAGE = 8 << 10
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
            "msg": record.getMessage()[:LONGEST_MESSAGE],
        }
        for key, value in vars(record).items():
            if key not in STANDARD:
                line[key] = value
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"[:LONGEST_MESSAGE]
            line["stack"] = "".join(traceback.format_exception(*record.exc_info))[-LONGEST_STACK:]
        return json.dumps(line, default=str, ensure_ascii=True)


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

    sys.excepthook = uncaught
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
