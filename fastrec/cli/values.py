"""Values of options: from what was written to what is meant, or a line that says what can be written."""

from __future__ import annotations

import argparse
import re

from fastrec.durations import parse_duration
from fastrec.errors import SchemaError, SourceError
from fastrec.options import hertz
from fastrec.recording.layout import RATE
from fastrec.recording.writing.storing import byte_count

__all__ = [
    "Misuse",
    "capacity",
    "count",
    "duration",
    "pair",
    "priority",
    "processors",
    "rate",
    "seconds",
    "size",
    "spin",
    "time",
]


class Misuse(Exception):
    """Options that make no sense together: a line for people, and exit code 2."""


def time(text: str, *words: str) -> str:
    """A duration, as it was written, or one of some words."""
    if text in words:
        return text
    try:
        parse_duration(text)
    except SchemaError as error:
        also = f", or {', '.join(words)}" if words else ""
        raise argparse.ArgumentTypeError(f"{error}{also}") from error
    return text


def duration(text: str) -> int:
    """In ns; a bare number is seconds."""
    return parse_duration(seconds(text))


def count(text: str) -> int:
    """A number of records."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records above 0")
    return int(text)


def capacity(text: str) -> int | str:
    """Of a ring: a number of records, or a duration as it was written."""
    return count(text) if text.isdecimal() else time(text)


def size(text: str) -> int:
    """In bytes: a number, with a unit of 1000 (``20GB``) or of 1024 (``256MiB``)."""
    number = byte_count(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write bytes, or 64MB, 256MiB, 20GB")
    return number


def seconds(text: str) -> str:
    """A duration as it was written; a bare number is seconds."""
    return time(f"{text.strip()}s" if re.fullmatch(r"[0-9.]+", text.strip()) else text)


def rate(text: str) -> str:
    """Hz, or max, as it was written."""
    if text.strip() != "max" and not RATE.fullmatch(text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no rate; write Hz, such as 1000 or 1/3, or max")
    if text.strip() != "max":
        try:
            hertz(text.strip())
        except SourceError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text.strip()


def spin(text: str) -> str | int:
    """``"auto"``, 0, or a duration as it was written."""
    return 0 if time(text, "auto", "0") == "0" else text


def priority(text: str) -> int:
    """Of a real-time thread."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no priority; write --realtime=10, or --realtime last")
    return int(text)


def processors(text: str) -> frozenset[int]:
    """``0,2-3``: their numbers."""
    numbers: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        several = range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1) if bounds else ()
        if not several:
            raise argparse.ArgumentTypeError(f"{text!r} are no processors; write 1 or 0,2-3")
        numbers.update(several)
    return frozenset(numbers)


def pair(text: str) -> tuple[str, str]:
    """``KEY=VALUE``."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no metadata; write KEY=VALUE")
    return key, value
