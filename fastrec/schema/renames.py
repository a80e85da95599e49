"""Renames: what a user says of names that changed from one version of a struct to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fastrec.errors import SchemaError, shown, suggest

__all__ = ["new_names", "plain", "said_shortest"]

_STEP = re.compile(r"([^.\[\]]+)((?:\[[0-9]{1,5}\])*)", re.ASCII)
_INDEX = re.compile(r"\[[0-9]+\]")


class _Rule(NamedTuple):
    old: str
    new: str | None
    steps: tuple[tuple[str, str], ...]


def plain(name: str) -> str:
    """A path without its indices: ``"motors.pos"`` of ``"motors[3].pos"``."""
    return _INDEX.sub("", name)


def new_names(
    old: Iterable[str], new: Iterable[str], renamed: Mapping[str, str | None] | None
) -> dict[str, str | None]:
    """Return, for each old field that the user says anything of, what it is called now; None: it is gone.

    Parameters
    ----------
    old, new : iterable of str
        Names of the fields of either version.
    renamed : mapping of str to (str or None), optional
        From a field, a nested struct (``"pose"``), an array of structs (``"motors"``) or one member of all
        of its elements (``"motors.pos"``) to its new name; the longest path that fits a field counts.

    Raises
    ------
    SchemaError
        A name that neither version has, or two fields that would become one.
    """
    old, known = list(old), set(new)
    said: dict[str, str | None] = {}
    used: set[str] = set()
    rules = _rules(renamed)
    for name in old:
        fitting = [(rule, ends) for rule in rules if (ends := _fits(rule, name)) is not None]
        used.update(rule.old for rule, _ in fitting)
        if fitting:
            rule, ends = fitting[0]
            target = _renamed(rule, *ends)
            # What a renamed struct has left behind under its old name stays where it is.
            if target is None or target in known or name not in known:
                said[name] = target
    for rule in rules:
        if rule.old not in used:
            raise SchemaError(f"renamed: there was no field {rule.old!r:.80}{suggest(rule.old, old)}")
        if rule.new is not None and not any(_below(rule.new, one) for one in known):
            raise SchemaError(f"renamed: there is no field {rule.new!r:.80} now{suggest(rule.new, known)}")
    _check_apart(old, known, said)
    return said


def _rules(renamed: Mapping[str, str | None] | None) -> list[_Rule]:
    if renamed is None:
        return []
    if not isinstance(renamed, Mapping):
        raise SchemaError(f"renamed={shown(renamed)}: pass a mapping of old name to new name, or to None")
    rules = []
    for name, target in renamed.items():
        if not isinstance(name, str) or not isinstance(target, str | None):
            raise SchemaError(f"renamed: {shown(name)}: {shown(target)} are no two names of fields")
        rules.append(_Rule(name, target, _steps(name)))
        if target is not None:
            _steps(target)
    return sorted(rules, key=lambda rule: (-len(rule.steps), -rule.old.count("["), rule.old))


def _steps(path: str) -> tuple[tuple[str, str], ...]:
    matches = [_STEP.fullmatch(step) for step in path.split(".")]
    if not all(matches):
        raise SchemaError(
            f"renamed: {shown(path)} is no path of a field, such as 'pose.x' or 'motors[0].pos'"
        )
    return tuple((match[1], match[2]) for match in matches if match)


def _fits(rule: _Rule, name: str) -> tuple[list[str], str] | None:
    """The indices that the rule leaves open, by step, and what is behind its path; None: another path."""
    steps = name.split(".")
    if len(steps) < len(rule.steps):
        return None
    rest = []
    for (base, index), step in zip(rule.steps, steps, strict=False):
        whole = base + index
        if not step.startswith(whole) or step[len(whole) :][:1] not in ("", "["):
            return None
        rest.append(step[len(whole) :])
    return rest, "".join("." + step for step in steps[len(rule.steps) :])


def _renamed(rule: _Rule, rest: list[str], behind: str) -> str | None:
    if rule.new is None:
        return None
    steps = rule.new.split(".")
    if len(steps) == len(rest):
        return ".".join(step + index for step, index in zip(steps, rest, strict=True)) + behind
    if any(rest[:-1]):
        raise SchemaError(
            f"renamed: {rule.old!r} lies in an array and {rule.new!r} on another level;"
            " name each element with its index"
        )
    return rule.new + rest[-1] + behind


def _below(path: str, name: str) -> bool:
    return any(one == path or one.startswith((path + ".", path + "[")) for one in (name, plain(name)))


def _check_apart(old: Iterable[str], known: set[str], said: Mapping[str, str | None]) -> None:
    taken: dict[str, str] = {}
    for name in old:
        target = said.get(name, name)
        if target in known and taken.setdefault(target, name) != name:
            raise SchemaError(
                f"renamed: {taken[target]!r} and {name!r} would both become {target!r};"
                f" say what becomes of the other, or {{{name!r}: None}}"
            )


def said_shortest(old: str, new: str) -> tuple[str, str]:
    """What a user would have to say for ``old`` to become ``new``, and with it all that changed alike."""
    before, after = old.split("."), new.split(".")
    if len(before) == len(after) and _INDEX.findall(old) == _INDEX.findall(new):
        before, after = plain(old).split("."), plain(new).split(".")
    while len(before) > 1 and len(after) > 1 and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return ".".join(before), ".".join(after)
