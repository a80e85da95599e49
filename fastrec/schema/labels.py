"""Labels: the names of values. Decoding never raises, whatever a recording holds; encoding is strict."""

from __future__ import annotations

import enum
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from fastrec.errors import SchemaError, suggest
from fastrec.schema.members import check_name

__all__ = ["Enumeration", "Flags", "Labels", "Masked", "as_labels", "labels_from_json", "register_kind"]

MAX_ENUMERATORS = 16384
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1
_NUMBER = re.compile(r"(-?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})\??", re.ASCII)


class Labels(ABC):
    """What all labels share. Equal when their JSON is; hashable; safe to share."""

    __slots__ = ()

    kind: ClassVar[str]
    """How a file calls this class of labels."""

    of_words: ClassVar[bool] = False
    """True if values are words of bits, which have no sign."""

    @property
    @abstractmethod
    def enumerators(self) -> tuple[tuple[str, int], ...]:
        """Every ``(name, value)``, in the order of declaration; of equal values the first one names it."""

    @abstractmethod
    def name(self, value: int) -> str:
        """Return the text of a value. Never raises; a value without a name stays visible (``"7?"``)."""

    @abstractmethod
    def value(self, label: str) -> int:
        """Return the value of a text that `name` could have returned.

        Raises
        ------
        SchemaError
            No such label; the message names the nearest ones.
        """

    @abstractmethod
    def to_json(self) -> dict[str, object]:
        """Return an object for `labels_from_json`. What it says is part of a schema's digest."""

    def names(self, values: np.ndarray) -> np.ndarray:
        """Return the text of each value.

        Parameters
        ----------
        values : ndarray of integers or booleans, any shape

        Returns
        -------
        ndarray of object
            Of the same shape, holding str; each distinct value is decoded once.
        """
        array = np.asarray(values)
        if self.of_words and array.dtype.kind == "i":
            array = array.astype(f"u{array.dtype.itemsize}")
        distinct, inverse = np.unique(array.ravel(), return_inverse=True)
        texts = np.array([self.name(int(value)) for value in distinct], dtype=object)
        return texts[inverse].reshape(array.shape) if array.size else np.empty(array.shape, dtype=object)

    def values(self, label: str) -> tuple[int, ...]:
        """Return every value that a label means, as a field may hold it; raises as `value`."""
        return (self.value(label),)

    def states(self, values: np.ndarray, seen: dict[str, int]) -> np.ndarray:
        """Return values that are equal where their states are.

        Parameters
        ----------
        values : ndarray of integers or booleans, any shape
        seen : dict of str to int
            The states of values before these, which stand for them; new ones are added.

        Returns
        -------
        ndarray
            Like `values`, or they themselves: each value is a state of its own, unless labels say otherwise.
        """
        return values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and (self is other or self.to_json() == other.to_json())

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.enumerators[:4])
        return f"<{type(self).__name__} {shown}{', ...' if len(self.enumerators) > 4 else ''}>"


class Enumeration(Labels):
    """One name per value, as a C ``enum``.

    Parameters
    ----------
    enumerators : mapping of str to int
        Several names of one value are allowed; the first one is shown.

    Raises
    ------
    SchemaError
        A name or value that cannot be one.
    """

    __slots__ = ("_enumerators", "_names", "_values")
    kind = "enum"

    def __init__(self, enumerators: Mapping[str, int]) -> None:
        self._enumerators = _checked(enumerators)
        self._values = dict(self._enumerators)
        self._names = {value: name for name, value in reversed(self._enumerators)}

    @property
    def enumerators(self) -> tuple[tuple[str, int], ...]:
        return self._enumerators

    def name(self, value: int) -> str:
        return self._names.get(value) or f"{value}?"

    def value(self, label: str) -> int:
        return _looked_up(label, self._values)

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind, "enumerators": [list(pair) for pair in self._enumerators]}


class Flags(Enumeration):
    """Bits with names; a word shows as ``"INDI_BEGIN|0x40"``.

    Enumerators of several bits are taken when all their bits are set, wider ones first. In arrays a word is
    as wide as the dtype; a single negative one counts as two's complement of 32 bits, or of 64 if it needs
    them.
    """

    __slots__ = ("_order",)
    kind = "flags"
    of_words = True

    def __init__(self, enumerators: Mapping[str, int]) -> None:
        words = {name: _unsigned(value) for name, value in _checked(enumerators)}
        super().__init__(words)
        distinct = [(name, value) for value, name in self._names.items() if value]
        self._order = sorted(distinct, key=lambda pair: -pair[1].bit_count())

    def name(self, value: int) -> str:
        word = _unsigned(value)
        exact = self._names.get(word)
        if exact or not word:
            return exact or "0"
        rest, taken = word, set()
        for name, bits in self._order:
            if rest & bits == bits:
                taken.add(name)
                rest &= ~bits
        parts = [name for name, _ in self._enumerators if name in taken]
        return "|".join([*parts, hex(rest)] if rest else parts)

    def value(self, label: str) -> int:
        word = 0
        for part in _text(label).split("|"):
            word |= _unsigned(_looked_up(part.strip(), self._values))
        return word


class Masked(Labels):
    """States that are told by some bits of a word only, such as the status word of a CiA 402 drive.

    Transitions, intervals and durations are those of the states: of the words of one state, the first that
    was seen stands for all.

    Parameters
    ----------
    patterns : mapping of str to (mask, value)
        A word is in the first state for which ``word & mask == value``; in none, it shows in hexadecimal
        (``"0x250?"``), and is a state of its own.

    Raises
    ------
    SchemaError
        A name that cannot be one, no mask, or a value with bits outside its mask: no word would ever match.
    """

    __slots__ = ("_patterns", "_values")
    kind = "masked"
    of_words = True

    def __init__(self, patterns: Mapping[str, tuple[int, int]]) -> None:
        if not isinstance(patterns, Mapping):
            raise SchemaError(f"Masked maps names to (mask, value), not {type(patterns).__name__}")
        for name, pair in patterns.items():
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise SchemaError(f"label {name!r:.60} stands for {pair!r:.40}; Masked needs (mask, value)")
        self._values = dict(_checked({name: pair[1] for name, pair in patterns.items()}))
        masks = dict(_checked({name: pair[0] for name, pair in patterns.items()}))
        self._patterns = tuple((name, masks[name], value) for name, value in self._values.items())
        for name, mask, value in self._patterns:
            if mask < 0 or value & ~mask:
                raise SchemaError(
                    f"label {name!r}: value {value:#x} is not within mask {mask:#x}; no word would match"
                )

    @property
    def enumerators(self) -> tuple[tuple[str, int], ...]:
        return tuple(self._values.items())

    @property
    def patterns(self) -> tuple[tuple[str, int, int], ...]:
        """Every ``(name, mask, value)``, in the order in which they are tried."""
        return self._patterns

    def name(self, value: int) -> str:
        word = _unsigned(value)
        for name, mask, bits in self._patterns:
            if word & mask == bits:
                return name
        return f"{word:#x}?"

    def value(self, label: str) -> int:
        return _looked_up(label, self._values)

    def states(self, values: np.ndarray, seen: dict[str, int]) -> np.ndarray:
        distinct, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        names = self.names(distinct)
        for place in np.argsort(first):
            seen.setdefault(names[place], int(distinct[place]))
        return np.array([seen[name] for name in names], dtype=distinct.dtype)[inverse].reshape(values.shape)

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind, "enumerators": [list(pattern) for pattern in self._patterns]}


def as_labels(labels: object) -> Labels | None:
    """Return what a user wrote as labels.

    Parameters
    ----------
    labels : IntEnum class, IntFlag class, mapping of str to int, Labels or None

    Raises
    ------
    SchemaError
        Anything else, or names and values that cannot be labels.
    """
    if labels is None or isinstance(labels, Labels):
        return labels
    if isinstance(labels, type) and issubclass(labels, enum.Enum):
        members = {name: member.value for name, member in labels.__members__.items()}
        return Flags(members) if issubclass(labels, enum.Flag) else Enumeration(members)
    if isinstance(labels, Mapping):
        if labels and not any(isinstance(name, str) for name in labels):
            raise SchemaError(f"labels are names to values, as in {{'IDLE': 0}}, not {dict(labels)!r:.60}")
        return Enumeration(labels)
    raise SchemaError(
        f"labels are an IntEnum, an IntFlag, a mapping of names to values or a decoder, not {labels!r:.40}"
    )


_KINDS: dict[str, Callable[[Mapping[str, object]], Labels]] = {}


def register_kind(kind: str, decode: Callable[[Mapping[str, object]], Labels]) -> None:
    """Teach `labels_from_json` a kind; ``decode`` raises SchemaError for what it cannot read."""
    _KINDS[kind] = decode


def labels_from_json(obj: object) -> Labels:
    """Return labels from an object made by `Labels.to_json`; nothing in it is believed.

    Raises
    ------
    SchemaError
        Not such an object, or a kind nobody registered.
    """
    if not isinstance(obj, Mapping):
        raise SchemaError(f"labels are an object with a 'kind', not {type(obj).__name__}")
    kind = obj.get("kind")
    decode = _KINDS.get(kind) if isinstance(kind, str) else None
    if decode is None:
        raise SchemaError(f"labels of kind {kind!r:.40} are unknown; known are {', '.join(sorted(_KINDS))}")
    return decode(obj)


def _rows(obj: Mapping[str, object], width: int) -> list[list]:
    rows = obj.get("enumerators")
    if not isinstance(rows, list | tuple):
        raise SchemaError(f"enumerators are a list, not {type(rows).__name__}")
    if len(rows) > MAX_ENUMERATORS:
        raise SchemaError(f"labels have 1 to {MAX_ENUMERATORS} names, not {len(rows)}")
    names = set()
    for row in rows:
        if (
            not isinstance(row, list | tuple)
            or len(row) != width
            or not isinstance(row[0], str)
            or row[0] in names
        ):
            raise SchemaError(f"an enumerator is a list of a new name and {width - 1} whole number(s)")
        if not all(type(number) is int for number in row[1:]):
            raise SchemaError(f"the value of label {row[0]!r:.60} is not a whole number")
        names.add(row[0])
    return [list(row) for row in rows]


register_kind("enum", lambda obj: Enumeration(dict(_rows(obj, 2))))
register_kind("flags", lambda obj: Flags(dict(_rows(obj, 2))))
register_kind("masked", lambda obj: Masked({name: (mask, value) for name, mask, value in _rows(obj, 3)}))


def _checked(enumerators: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    if not isinstance(enumerators, Mapping):
        raise SchemaError(f"labels need a mapping of name to value, not {type(enumerators).__name__}")
    if not 0 < len(enumerators) <= MAX_ENUMERATORS:
        raise SchemaError(f"labels have 1 to {MAX_ENUMERATORS} names, not {len(enumerators)}")
    for name, value in enumerators.items():
        check_name(name, "a label")
        # Such a name could not be told from a number or from a combination when it is read back.
        if "|" in name or name != name.strip() or _NUMBER.fullmatch(name):
            raise SchemaError(
                f"label {name!r} contains '|' or blanks at an end, or looks like a number; rename it"
            )
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise SchemaError(f"label {name!r} stands for {value!r:.40}; it must be a whole number")
        if not _LOWEST <= value <= _HIGHEST:
            raise SchemaError(f"label {name!r} stands for a number that does not fit 64 bits")
    return tuple((name, int(value)) for name, value in enumerators.items())


def _text(label: object) -> str:
    if not isinstance(label, str):
        raise SchemaError(f"a label is a text, not {type(label).__name__}; compare numbers as numbers")
    return label


def _looked_up(label: object, known: Mapping[str, int]) -> int:
    label = _text(label)
    if label in known:
        return known[label]
    match = _NUMBER.fullmatch(label)
    if match:
        number = int(match[1] + match[2], 16 if match[2][:2] in ("0x", "0X") else 10)
        if _LOWEST <= number <= _HIGHEST:
            return number
    raise SchemaError(f"there is no label {label!r:.60}{suggest(label, known)}")


def _unsigned(value: int) -> int:
    if value >= 0:
        return value
    return value & (0xFFFFFFFF if value >= -(1 << 31) else _HIGHEST)
