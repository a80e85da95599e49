"""From one version of a struct to the next: which field became which, what changed, what can be read as new.

Fields are the same by name, or by what the user says of names. Nothing is guessed: where a field is gone and
another one is new in its place, nobody but the user knows whether it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fastrec.schema.field import Field
from fastrec.schema.labels import Labels
from fastrec.schema.renames import new_names, plain, said_shortest

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["TOLD", "Change", "Pairs", "ambiguities", "diff", "listed", "pairs"]

_DIGITS = {16: 11, 32: 24, 64: 53}  # of a float's significand, by its bits (IEEE 754)
TOLD = ("labels", "unit", "scale", "bias")
"""Kinds of changes by which old values would be others."""

_LISTED = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas; ``str`` of it is one line.

    Attributes
    ----------
    kind : str
        Of a field: ``"added" "removed" "renamed" "moved"``; ``"widened"`` (every old value is still one),
        ``"narrowed" "retyped" "byteorder" "reshaped"``; ``"text" "pointer" "labels" "unit" "scale" "bias"
        "doc"``. Of the schema: ``"name" "abi" "byteorder" "size"``.
    field : str
        Its new name, of one that is gone its old; ``""`` for the schema.
    old, new : str, int, float or None
        What it was and is; None of what is added or removed.
    lossy : bool
        An old value may have no place in the new schema, or would be another one (a label that stands for
        another number, a scale that is not the old one), so a recording cannot be read with it. A field that
        is gone as a whole is no loss: nobody is misled; nor is what nobody had said before.
    """

    kind: str
    field: str
    old: str | float | None
    new: str | float | None
    lossy: bool = False

    def __str__(self) -> str:
        where = f"{self.field!r}: " if self.field else ""
        if self.new is None:
            return f"{where}removed ({self.old})" + (": the array is shorter" if self.lossy else "")
        if self.old is None:
            return f"{where}added ({self.new})"
        was, now = (
            repr(value) if self.kind in ("unit", "doc") else str(value) for value in (self.old, self.new)
        )
        why = (
            ", by which old values would be others"
            if self.kind in TOLD
            else ", which cannot hold every old value"
        )
        return f"{where}{self.kind} {_short(was)} -> {_short(now)}{why if self.lossy else ''}"

    def as_dict(self) -> dict[str, object]:
        """Return the attributes, as JSON can hold them."""
        return {
            "kind": self.kind,
            "field": self.field,
            "old": self.old,
            "new": self.new,
            "lossy": self.lossy,
        }


class Pairs(NamedTuple):
    """Which old field is which new one.

    Attributes
    ----------
    kept : dict of str to (Field, Field)
        Old and new, by the new name, in the order of the new schema.
    removed, added : tuple of Field
        Old fields without a new one, and new ones without an old one.
    dropped : frozenset of str
        Old names that the user said are gone.
    """

    kept: dict[str, tuple[Field, Field]]
    removed: tuple[Field, ...]
    added: tuple[Field, ...]
    dropped: frozenset[str]


def pairs(old: Schema, new: Schema, renamed: Mapping[str, str | None] | None = None) -> Pairs:
    """Return which old field is which new one, by name and by what the user says of names.

    Raises
    ------
    SchemaError
        `renamed` names what is not there, or makes one field of two.
    """
    said = new_names([one.name for one in old.fields], [one.name for one in new.fields], renamed)
    by_new = {said.get(one.name, one.name): one for one in old.fields if said.get(one.name, "") is not None}
    kept = {one.name: (by_new[one.name], one) for one in new.fields if one.name in by_new}
    here = {one.name for one, _ in kept.values()}
    return Pairs(
        kept,
        tuple(one for one in old.fields if one.name not in here),
        tuple(one for one in new.fields if one.name not in kept),
        frozenset(name for name, target in said.items() if target is None),
    )


def diff(old: Schema, new: Schema, renamed: Mapping[str, str | None] | None = None) -> tuple[Change, ...]:
    """Return every difference; see `Schema.diff`."""
    found = pairs(old, new, renamed)
    shortened = _shortened(found)
    after = _anchors(old.fields, {one.name: new_one.name for one, new_one in found.kept.values()})
    gone: dict[str | None, list[Change]] = {}
    for one in found.removed:
        gone.setdefault(after[one.name], []).append(
            Change("removed", one.name, _spelled(one), None, one.name in shortened)
        )
    changes = [
        Change(kind, "", getattr(old, kind), getattr(new, kind))
        for kind in ("name", "abi", "byteorder", "size")
        if getattr(old, kind) != getattr(new, kind)
    ]
    changes += gone.get(None, [])
    for one in new.fields:
        if one.name in found.kept:
            changes += _changes(*found.kept[one.name])
        else:
            changes.append(Change("added", one.name, None, _spelled(one)))
        changes += gone.get(one.name, [])
    return tuple(changes)


def ambiguities(old: Schema, new: Schema, found: Pairs) -> list[str]:
    """Return a line for each field that may have been renamed, or not: gone, and another new in its place.

    In its place is: at the same offset, or behind the same field, with the same type and shape.
    """
    before = _anchors(old.fields, {one.name: new_one.name for one, new_one in found.kept.values()})
    behind = _anchors(new.fields, {name: name for name in found.kept})
    at: dict[tuple, Field] = {}
    for one in found.added:
        for place in (_place(one), behind[one.name]):
            at.setdefault((place, *_likeness(one)), one)
    lines: dict[tuple[str, str], str] = {}
    for one in found.removed:
        if one.name in found.dropped:
            continue
        places = [(place, *_likeness(one)) for place in (_place(one), before[one.name])]
        other = next((at[place] for place in places if place in at), None)
        if other is not None:
            was, now = said_shortest(one.name, other.name)
            lines.setdefault(
                (was, now),
                f"field {was!r} is gone and {now!r} is new in its place: renamed?"
                f" say renamed={{{was!r}: {now!r}}}, or {{{was!r}: None}}",
            )
    return list(lines.values())


def listed(lines: Iterable[str]) -> str:
    """Many findings as the end of one line: the first of them, and how many more there are."""
    every = list(lines)
    more = len(every) - _LISTED
    return "; ".join(every[:_LISTED]) + (f"; and {more} more" if more > 0 else "")


def _anchors(fields: Iterable[Field], kept: Mapping[str, str]) -> dict[str, str | None]:
    """By name, the new name of the nearest field before it that both schemas have."""
    anchors: dict[str, str | None] = {}
    last = None
    for one in fields:
        anchors[one.name] = last
        last = kept.get(one.name, last)
    return anchors


def _shortened(found: Pairs) -> set[str]:
    """Fields that went because an array of structs became shorter: as lossy as any other array."""
    arrays = {plain(one.name) for one, _ in found.kept.values() if "[" in one.name}
    return {
        one.name
        for one in found.removed
        if "[" in one.name and plain(one.name) in arrays and one.name not in found.dropped
    }


def _changes(old: Field, new: Field) -> Iterator[Change]:
    name = new.name
    if old.name != name:
        yield Change("renamed", name, old.name, name)
    if _place(old) != _place(new):
        yield Change("moved", name, _at(old), _at(new))
    if _type(old) != _type(new):
        lossy = not _holds(_type(old), _type(new))
        same_kind = _type(old)[0] == _type(new)[0] and _type(old)[1] > _type(new)[1]
        if lossy:
            kind = "narrowed" if same_kind else "retyped"
        else:
            kind = "retyped" if _holds(_type(new), _type(old)) else "widened"
        yield Change(kind, name, _code(old), _code(new), lossy)
    elif _code(old) != _code(new):
        swapped = _code(old).lstrip("<>") == _code(new).lstrip("<>")
        yield Change("byteorder" if swapped else "retyped", name, _code(old), _code(new))
    if old.shape != new.shape:
        yield Change("reshaped", name, _axes(old), _axes(new), not _longer(old.shape, new.shape))
    if old.text != new.text:
        # The record of a text holds its id, and the id of another is no address.
        yield Change("text", name, _text(old.text), _text(new.text), bool(old.encoding != new.encoding))
    if old.pointer != new.pointer:
        yield Change("pointer", name, str(old.pointer), str(new.pointer))
    if old.labels != new.labels:
        yield Change("labels", name, *_names(old.labels, new.labels), _renumbered(old.labels, new.labels))
    # What nobody had said can be said later; what was said, and is another, would be wrong of old values.
    scaled = all((one.scale, one.bias) != (1.0, 0.0) for one in (old, new))
    other = {"unit": bool(old.unit and new.unit), "scale": scaled, "bias": scaled, "doc": False}
    for key, lossy in other.items():
        if getattr(old, key) != getattr(new, key):
            yield Change(key, name, getattr(old, key), getattr(new, key), lossy)


def _type(field: Field) -> tuple[str, int]:
    """Kind and bits: what decides which values there are."""
    if field.bits:
        return field.dtype.kind, field.bits[1]
    return field.dtype.kind, 8 * field.dtype.itemsize


def _holds(old: tuple[str, int], new: tuple[str, int]) -> bool:
    """Whether every value of one type is a value of the other."""
    (kind, bits), (wide, room) = old, new
    if old == new:
        return True
    digits = {"u": bits, "b": 1, "i": bits - 1, "f": _DIGITS.get(bits, 0)}.get(kind)
    if wide == kind:
        return bits <= room and kind != "V"
    if wide == "c" and digits is not None:
        return (kind == "f" and bits <= room // 2) or (kind != "f" and digits <= _DIGITS[room // 2])
    if wide == "f" and digits is not None:
        return digits <= _DIGITS[room]
    if kind in "ub" and digits is not None:
        return (
            (wide == "u" and digits <= room)
            or (wide == "i" and digits < room)
            or (wide == "b" and digits == 1)
        )
    return False


def _longer(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    return len(old) == len(new) and all(a <= b for a, b in zip(old, new, strict=True))


def _likeness(field: Field) -> tuple:
    return (*_type(field), field.shape, field.encoding)


def _place(field: Field) -> tuple[int, int]:
    return field.offset, field.bits[0] if field.bits else 0


def _at(field: Field) -> str:
    return f"byte {field.offset}" + (f" bit {field.bits[0]}" if field.bits else "")


def _code(field: Field) -> str:
    return field.dtype.str.lstrip("|") + (f":{field.bits[1]}" if field.bits else "")


def _axes(field: Field) -> str:
    return "".join(f"[{n}]" for n in field.shape) or "one value"


def _spelled(field: Field) -> str:
    return f"{_code(field)}{''.join(f'[{n}]' for n in field.shape)} at {_at(field)}"


def _text(text: bool | str) -> str:
    return {False: "no text", True: "utf-8"}.get(text, str(text))


def _names(old: Labels | None, new: Labels | None) -> tuple[str, str]:
    """What is different in the names of values, as one text for either schema."""
    if old is None or new is None or type(old) is not type(new):
        return tuple("none" if one is None else _kind(one) for one in (old, new))  # type: ignore[return-value]
    only = []
    for one, others in ((old, set(new.enumerators)), (new, set(old.enumerators))):
        only.append([f"{pair[0]}={pair[1]}" for pair in one.enumerators if pair not in others])
    if not any(only):
        return _kind(old), f"{_kind(new)}, in another order or under other masks"
    return tuple(", ".join(names) or "nothing" for names in only)  # type: ignore[return-value]


def _renumbered(old: Labels | None, new: Labels | None) -> bool:
    """Whether a name stands for another value now: old records would show another state than they had."""
    if old is None or new is None:
        return False
    values = dict(new.enumerators)
    return any(values.get(name, value) != value for name, value in old.enumerators)


def _kind(labels: Labels) -> str:
    return f"{labels.kind} of {len(labels.enumerators)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
