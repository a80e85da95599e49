"""Macros: how they are defined, and what a token becomes that names one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastrec.errors import SchemaError, shown
from fastrec.schema.c.cursor import MAX_NESTING, fatal
from fastrec.schema.c.tokens import UNSURE, Source, Token, refusal, tokens_of

__all__ = ["MAX_TOKENS", "Macro", "Macros", "macro_name", "macro_of", "macro_said"]

MAX_TOKENS = 1_000_000
"""Tokens of a text; one that a macro made counts as `_COST`."""

_COST = 4
_MAX_QUOTED = 1 << 16
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\([^()]*\))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro: ``parameters`` is None without brackets; ``variadic`` names the rest of its arguments."""

    body: tuple[Token, ...]
    parameters: tuple[str, ...] | None = None
    variadic: str = ""


def macro_of(line: list[Token]) -> tuple[str, Macro]:
    """Read what stands behind ``#define``.

    Raises
    ------
    SchemaError
        No name, or parameters that are none.
    """
    name = line[0]
    if name.kind != "word" or name.text in ("defined", "__VA_ARGS__"):
        raise refusal(name, "is no name for a macro")
    if len(line) < 2 or line[1].text != "(" or line[1].spaced:
        return name.text, Macro(_body(line[1:], (), ""))
    parameters: list[str] = []
    variadic = ""
    at = 2
    while at < len(line) and line[at].text != ")":
        token = line[at]
        if token.text == "...":
            variadic = "__VA_ARGS__"
        elif token.kind != "word" or token.text in parameters or variadic:
            raise refusal(token, "is no parameter of a macro")
        elif at + 1 < len(line) and line[at + 1].text == "...":
            variadic = token.text
            at += 1
        else:
            parameters.append(token.text)
        at += 1
        if at < len(line) and line[at].text == ",":
            at += 1
    if at >= len(line):
        raise refusal(line[1], "is never closed")
    return name.text, Macro(_body(line[at + 1 :], parameters, variadic), tuple(parameters), variadic)


def macro_name(name: object) -> str:
    """Return the name of a macro that a user defines.

    Raises
    ------
    SchemaError
        It is none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(f"defines: {shown(name)} is no name of a macro")
    return name


def macro_said(name: str, value: object) -> tuple[str, Macro]:
    """Return a macro as a user defines it: its name, with parameters or without, and a number or a text.

    Raises
    ------
    SchemaError
        It is no macro.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise SchemaError(
            f"defines: {shown(name)} to {shown(value)}; a macro stands for a number, a text of C, or None"
        )
    try:
        text = f"{name} {value}"
    except ValueError:
        raise SchemaError(f"defines: {shown(name)} stands for a number of too many digits") from None
    if len(text) > 1 << 16:
        raise SchemaError(f"defines: {shown(name)} stands for more than 65536 characters")
    line = list(tokens_of(Source(text, "<defines>")))
    if not line or any(token.kind == "line" for token in line):
        raise SchemaError(f"defines: the text of {shown(name)} is no single line")
    return macro_of(line)


def _body(body: list[Token], parameters: Iterable[str], variadic: str) -> tuple[Token, ...]:
    if body and "##" in (body[0].text, body[-1].text):
        raise refusal(body[0], "joins nothing: '##' stands at an end of the macro")
    for token in body:
        if token.text == "__VA_OPT__":
            raise refusal(token, "is not understood here; write the macro without it")
    return tuple(body)


class Macros:
    """The macros that are defined, and the expansion of a stream of tokens by them.

    Attributes
    ----------
    defined : dict of str to Macro
    doubts : dict of str to str
        Names of which nobody knows whether they are macros, and of what: why. A token of kind ``"doubt"``
        with that text stands before what they become.
    """

    def __init__(self, defined: dict[str, Macro]) -> None:
        self.defined = defined
        self.doubts: dict[str, str] = {}
        self._left = MAX_TOKENS
        self._counter = 0
        self._depth = 0

    def spend(self, count: int, token: Token) -> None:
        """Count tokens.

        Raises
        ------
        SchemaError
            There are too many of them.
        """
        self._left -= count
        if self._left < 0:
            raise fatal(token, f"is one too many: a text has at most {MAX_TOKENS} tokens, macros expanded")

    def expanded(self, raw: Iterator[Token]) -> Iterator[Token]:
        """Yield tokens with every macro replaced by what it stands for."""
        waiting: list[Token] = []
        while True:
            token = waiting.pop() if waiting else next(raw, None)
            if token is None:
                return
            if token.kind != "word" or token.text in token.hidden:
                yield token
                continue
            if token.text in self.doubts:
                yield token._replace(kind="doubt", text=self.doubts[token.text])
            macro = self.defined.get(token.text)
            if macro is None:
                yield self._dynamic(token)
            elif macro.parameters is None:
                body = self._replaced(token, macro, {}, token.hidden | {token.text})
                waiting += reversed(body)
            else:
                behind = waiting.pop() if waiting else next(raw, None)
                while behind is not None and behind.kind in UNSURE:
                    yield behind
                    behind = waiting.pop() if waiting else next(raw, None)
                if behind is None or behind.text != "(" or behind.kind != "mark":
                    if behind is not None:
                        waiting.append(behind)
                    yield token
                    continue
                given, closing, unsure = self._arguments(token, waiting, raw)
                yield from unsure
                hidden = (token.hidden & closing.hidden) | {token.text}
                arguments = _named(token, macro, given)
                waiting += reversed(self._replaced(token, macro, arguments, hidden))

    def _dynamic(self, token: Token) -> Token:
        if token.text == "__LINE__":
            return token._replace(kind="number", text=str(token.source.place(token.at)[1]))
        if token.text == "__FILE__":
            return token._replace(kind="string", text='"' + token.file.replace('"', "") + '"')
        if token.text == "__COUNTER__":
            self._counter += 1
            return token._replace(kind="number", text=str(self._counter - 1))
        return token

    def _arguments(
        self, name: Token, waiting: list[Token], raw: Iterator[Token]
    ) -> tuple[list[list[Token]], Token, list[Token]]:
        given: list[list[Token]] = [[]]
        unsure: list[Token] = []
        depth = 0
        while True:
            token = waiting.pop() if waiting else next(raw, None)
            if token is None:
                raise fatal(name, "is a macro whose arguments do not end")
            if token.kind == "pack":
                raise fatal(name, "is a macro with a #pragma among its arguments; move it out")
            if token.kind in UNSURE:
                unsure = [token]
                continue
            if token.kind == "mark":
                if token.text == "(":
                    depth += 1
                    if depth > MAX_NESTING:
                        raise fatal(token, f"is nested deeper than {MAX_NESTING}")
                elif token.text == ")":
                    if not depth:
                        return given, token, unsure
                    depth -= 1
                elif token.text == "," and not depth:
                    given.append([])
                    continue
            # For '#', the end of a line is a blank like others.
            given[-1].append(token._replace(spaced=True) if token.begins else token)

    def _replaced(
        self, name: Token, macro: Macro, arguments: dict[str, list[Token]], hidden: frozenset[str]
    ) -> list[Token]:
        found: list[Token] = []
        body = macro.body
        whole: dict[str, list[Token]] = {}
        at = 0
        while at < len(body):
            token = body[at]
            joined = at + 1 < len(body) and body[at + 1].text == "##"
            argument = arguments.get(token.text) if token.kind == "word" else None
            if token.text == "#" and macro.parameters is not None:
                at += 1
                if at >= len(body) or body[at].text not in arguments:
                    raise refusal(name, "is a macro in which '#' stands before no parameter")
                self.spend(_COST * len(arguments[body[at].text]), name)
                found.append(_quoted(name, arguments[body[at].text])._replace(spaced=token.spaced))
            elif token.text == "##":
                at += 1
                right = body[at]
                others = arguments.get(right.text) if right.kind == "word" else None
                rest = [right] if others is None else others
                self.spend(_COST * len(rest), name)
                if found and found[-1].text == "," and macro.variadic and right.text == macro.variadic:
                    # GNU: the comma before an empty rest goes with it.
                    if not rest:
                        found.pop()
                elif found and rest:
                    found[-1] = _joined(name, found[-1], rest[0])
                    rest = rest[1:]
                found += rest
            elif argument is None:
                found.append(token)
            elif joined:
                # An empty argument next to ## joins to nothing; a mark of no text keeps its place.
                self.spend(_COST * len(argument), name)
                found += argument or [token._replace(kind="odd", text="")]
            else:
                if token.text not in whole:
                    whole[token.text] = self._nested(name, argument)
                self.spend(_COST * len(whole[token.text]), name)
                found += whole[token.text]
            self.spend(_COST, name)
            at += 1
        found = [token for token in found if token.text]
        self.spend(len(hidden) // 8, name)
        # Most tokens share what hides them; a set for each would be most of the memory.
        unions = {frozenset(): hidden}
        made = []
        for kind, text, _, _, spaced, _, before in found:
            hides = unions.get(before)
            if hides is None:
                hides = unions[before] = before | hidden
            made.append(Token(kind, text, name.at, name.source, spaced, False, hides))
        return made

    def _nested(self, name: Token, argument: list[Token]) -> list[Token]:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise fatal(name, f"is a macro within more than {MAX_NESTING} others")
        try:
            return list(self.expanded(iter(argument)))
        finally:
            self._depth -= 1


def _named(name: Token, macro: Macro, given: list[list[Token]]) -> dict[str, list[Token]]:
    parameters = macro.parameters or ()
    if not parameters and not macro.variadic and given == [[]]:
        return {}
    fixed, rest = given[: len(parameters)], given[len(parameters) :]
    if len(fixed) < len(parameters) or (rest and not macro.variadic):
        raise refusal(name, f"is a macro of {len(parameters)} arguments, not {len(given)}")
    arguments = dict(zip(parameters, fixed, strict=True))
    if macro.variadic:
        joined: list[Token] = []
        for number, argument in enumerate(rest):
            if number:
                joined.append(Token("mark", ",", name.at, name.source))
            joined += argument
        # A rest that is there, though empty, keeps the comma that ', ## __VA_ARGS__' drops.
        kept = [Token("odd", "", name.at, name.source)] if parameters and rest == [[]] else joined
        arguments[macro.variadic] = kept
    return arguments


def _quoted(name: Token, argument: list[Token]) -> Token:
    text = ""
    for token in argument:
        plain = token.text
        if token.kind in ("string", "char"):
            plain = plain.replace("\\", "\\\\").replace('"', '\\"')
        text += (" " if token.spaced and text else "") + plain
        if len(text) > _MAX_QUOTED:
            raise refusal(name, f"is a macro that makes a text of more than {_MAX_QUOTED} characters")
    return Token("string", f'"{text}"', name.at, name.source)


def _joined(name: Token, left: Token, right: Token) -> Token:
    text = left.text + right.text
    if not left.text or not right.text:
        return right if right.text else left
    if len(text) > 4096:
        raise refusal(name, "is a macro that joins tokens to one of more than 4096 characters")
    made = list(tokens_of(Source(text)))
    if len(made) != 1:
        raise refusal(name, f"is a macro that joins {text[:40]!r}, which is no token of C")
    return made[0]._replace(hidden=left.hidden | right.hidden, spaced=left.spaced)
