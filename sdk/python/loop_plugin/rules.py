"""The rules of the contract's fields, from the descriptors. Both ends of a call check every message against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from loop_contract.plugin.v1 import options_pb2
from loop_plugin.option import rules_of


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
    """The first field that breaks a rule; options.proto says which one is the first, and how it is named."""
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
    checks: list[Check] = []
    for field in sorted(descriptor.fields, key=lambda f: f.number):
        rules = rules_of(field)
        if rules is None and field.message_type is None:
            continue
        checks.append(_field(field, rules or options_pb2.Rules()))
    return checks


def _field(field: FieldDescriptor, rules: options_pb2.Rules) -> Check:
    name, required, longest = field.name, rules.required, rules.max_len
    if field.is_repeated:
        # The bounds of values apply to the elements; required and max_len apply to the list itself.
        element = _value(field, options_pb2.Rules(len=rules.len, max=rules.max, min=rules.min))

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

    needs = rules.needs

    def scalar(message: Any, prefix: str) -> Violation | None:
        value = getattr(message, name)
        bad = value_check(value, prefix + name) if value_check else None
        if bad is None and needs and value and not getattr(message, needs):
            bad = Violation(prefix + name, f"is set although {needs} is empty")
        return bad

    return scalar


def _value(field: FieldDescriptor, rules: options_pb2.Rules) -> ValueCheck | None:
    if field.type == FieldDescriptor.TYPE_BYTES:
        shortest = rules.shortest

        def encoded(value: bytes, path: str) -> Violation | None:
            bad = _length(len(value), rules, path)
            if bad is None and shortest and value[:1] == b"\0":
                bad = Violation(path, "begins with a zero byte; the shortest form is wanted")
            return bad

        return encoded
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
    if field.type == FieldDescriptor.TYPE_ENUM:
        if not rules.required:
            return None
        return lambda value, path: None if value else Violation(path, "is not specified; it is required")
    if field.message_type is not None:
        kind = field.message_type.full_name
        if kind not in (BIG_INT, DURATION, TIMESTAMP):
            return lambda value, path: _check(value, path + ".")

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
            # Two's complement has one more negative number.
            if (number - 1 if value.negative else number).bit_length() > rules.bits - 1:
                return Violation(path, f"does not fit a signed integer of {rules.bits} bits")
    elif kind == DURATION:
        problem = _problem_of_duration(value.seconds, value.nanos)
        if problem:
            return Violation(path, "is not a valid duration: " + problem)
        if rules.non_negative and (value.seconds < 0 or value.nanos < 0):
            return Violation(path, "is negative")
    elif kind == TIMESTAMP:
        problem = _problem_of_timestamp(value.seconds, value.nanos)
        if problem:
            return Violation(path, "is not a valid timestamp: " + problem)
        if rules.non_negative and value.seconds < 0:
            return Violation(path, "is before 1970")
    return None


def _problem_of_duration(seconds: int, nanos: int) -> str:
    if not -LONGEST_DURATION <= seconds <= LONGEST_DURATION:
        return f"{seconds} seconds are beyond 10,000 years"
    if not -NANOS < nanos < NANOS:
        return f"{nanos} nanoseconds are a second or more"
    if (seconds > 0 and nanos < 0) or (seconds < 0 and nanos > 0):
        return "seconds and nanoseconds have different signs"
    return ""


def _problem_of_timestamp(seconds: int, nanos: int) -> str:
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        return f"{seconds} seconds are outside the years 1 to 9999"
    if not 0 <= nanos < NANOS:
        return f"{nanos} nanoseconds are negative, or a second or more"
    return ""
