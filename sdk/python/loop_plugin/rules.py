"""The rules of the contract's fields, read from the descriptors. Both ends of every call hold every message to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from loop_contract.plugin.v1 import options_pb2
from loop_plugin.option import creates_of, lends_of, rules_of


@dataclass(frozen=True)
class Violation:
    """A field that breaks a rule."""

    field: str
    """The path from the message, such as timestamp.config_digest or observations[3].value."""
    problem: str
    """What the field holds and what it must hold."""

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


# One check of one field: the message and its prefix in, the violation out.
Check = Callable[[Any, str], "Violation | None"]
# A check of one value: the value and its path.
ValueCheck = Callable[[Any, str], "Violation | None"]

BIG_INT, DURATION, TIMESTAMP = "loop.plugin.v1.BigInt", "google.protobuf.Duration", "google.protobuf.Timestamp"
# Seconds: 10,000 years for a Duration, years 1 to 9999 for a Timestamp, as protobuf defines both.
LONGEST_DURATION = 315_576_000_000
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
NANOS = 1_000_000_000

_plans: dict[str, list[Check]] = {}


def check(message: Message) -> Violation | None:
    """The first field, in the order of the contract, that breaks a rule."""
    return _check(message, "")


def _check(message: Any, prefix: str) -> Violation | None:
    name = message.DESCRIPTOR.full_name
    plan = _plans.get(name)
    if plan is None:
        plan = _plans[name] = _plan(message.DESCRIPTOR)
    for field in plan:
        bad = field(message, prefix)
        if bad is not None:
            return bad
    return None


def _plan(descriptor: Descriptor) -> list[Check]:
    """The checks worth making of a message: most of the contract's have few."""
    if descriptor.full_name == DURATION:
        return [_duration]
    if descriptor.full_name == TIMESTAMP:
        return [_timestamp]
    checks: list[Check] = [_big_int] if descriptor.full_name == BIG_INT else []
    for field in descriptor.fields:
        rules = rules_of(field)
        if rules is None and (creates_of(field) or lends_of(field)):
            # A name is as good as its unguessability: an empty or endless one is none.
            rules = options_pb2.Rules(required=True, max_len=256)
        if rules is None and field.message_type is None:
            continue
        checks.append(_field(field, rules or options_pb2.Rules()))
    return checks


def _field(field: FieldDescriptor, rules: options_pb2.Rules) -> Check:
    name, required, longest = field.name, rules.required, rules.max_len
    if field.is_repeated:
        # Elements keep the bounds of values; required and max_len speak of the list itself.
        element = _value(field, options_pb2.Rules(len=rules.len, max=rules.max, min=rules.min, bits=rules.bits))

        def repeated(message: Any, prefix: str) -> Violation | None:
            values = getattr(message, name)
            n = len(values)
            if required and n == 0:
                return Violation(prefix + name, "is empty; at least one element is wanted")
            if longest and n > longest:
                return Violation(prefix + name, f"has {n} elements; the limit is {longest}")
            if element is not None:
                for i, value in enumerate(values):
                    bad = element(value, f"{prefix}{name}[{i}]")
                    if bad is not None:
                        return bad
            return None

        return repeated
    value_check = _value(field, rules)
    if field.message_type is not None:

        def message_field(message: Any, prefix: str) -> Violation | None:
            if not message.HasField(name):
                return Violation(prefix + name, "is absent; it is required") if required else None
            return value_check(getattr(message, name), prefix + name) if value_check else None

        return message_field

    def scalar(message: Any, prefix: str) -> Violation | None:
        return value_check(getattr(message, name), prefix + name) if value_check else None

    return scalar


def _value(field: FieldDescriptor, rules: options_pb2.Rules) -> ValueCheck | None:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value, path: _length(len(value), rules, path)
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda value, path: _length(len(value.encode()), rules, path)
    if field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64):
        most, least = rules.max, rules.min

        def number(value: int, path: str) -> Violation | None:
            if most and value > most:
                return Violation(path, f"is {value}; the largest value is {most}")
            if value < least:
                return Violation(path, f"is {value}; the least value is {least}")
            return None

        return number
    if field.message_type is not None:
        kind = field.message_type.full_name

        def message(value: Any, path: str) -> Violation | None:
            return _check(value, path + ".") or _well_known(kind, value, rules, path)

        return message
    return None


def _length(n: int, rules: options_pb2.Rules, path: str) -> Violation | None:
    if rules.len and n != rules.len:
        return Violation(path, f"has {n} bytes; it must have {rules.len}")
    if rules.required and n == 0:
        return Violation(path, "is empty; it is required")
    if rules.max_len and n > rules.max_len:
        return Violation(path, f"has {n} bytes; the limit is {rules.max_len}")
    return None


def _well_known(kind: str, value: Any, rules: options_pb2.Rules, path: str) -> Violation | None:
    if kind == BIG_INT:
        if rules.non_negative and value.negative:
            return Violation(path, "is negative")
        if rules.bits:
            number = int.from_bytes(value.magnitude, "big")
            # Two's complement has one negative number more.
            if (number - 1 if value.negative else number).bit_length() > rules.bits - 1:
                return Violation(path, f"does not fit a signed integer of {rules.bits} bits")
    elif kind == DURATION:
        if rules.non_negative and (value.seconds < 0 or value.nanos < 0):
            return Violation(path, "is negative")
    elif kind == TIMESTAMP and rules.non_negative and value.seconds < 0:
        return Violation(path, "is before 1970")
    return None


def _big_int(message: Any, prefix: str) -> Violation | None:
    magnitude = message.magnitude
    if magnitude[:1] == b"\0":
        return Violation(prefix + "magnitude", "begins with a zero byte; the shortest form is wanted")
    if not magnitude and message.negative:
        return Violation(prefix + "negative", "is set for zero")
    return None


def _duration(message: Any, prefix: str) -> Violation | None:
    seconds, nanos = message.seconds, message.nanos
    problem = ""
    if not -LONGEST_DURATION <= seconds <= LONGEST_DURATION:
        problem = f"{seconds} seconds are beyond 10,000 years"
    elif not -NANOS < nanos < NANOS:
        problem = f"{nanos} nanoseconds are a second or more"
    elif (seconds > 0 and nanos < 0) or (seconds < 0 and nanos > 0):
        problem = "seconds and nanoseconds have different signs"
    return Violation(prefix[:-1], "is not a valid duration: " + problem) if problem else None


def _timestamp(message: Any, prefix: str) -> Violation | None:
    seconds, nanos = message.seconds, message.nanos
    problem = ""
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        problem = f"{seconds} seconds are outside the years 1 to 9999"
    elif not 0 <= nanos < NANOS:
        problem = f"{nanos} nanoseconds are negative, or a second or more"
    return Violation(prefix[:-1], "is not a valid timestamp: " + problem) if problem else None
