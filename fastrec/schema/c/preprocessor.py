"""Directives: what of a text counts, what it includes, and the packing that ``#pragma pack`` asks for."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastrec.errors import SchemaError, shown
from fastrec.schema.abi import Abi
from fastrec.schema.c.constants import Constants
from fastrec.schema.c.cursor import Fatal, fatal
from fastrec.schema.c.macros import Macro, Macros, macro_of
from fastrec.schema.c.packing import Packing
from fastrec.schema.c.predefined import predefined
from fastrec.schema.c.tokens import MAX_TEXT, Source, Token, refusal, tokens_of

__all__ = ["Preprocessor"]

_MAX_INCLUDES = 32
_DIRECTIVE = 16
"""How many tokens a directive counts as."""

_INCLUDE = 200

_PASSED_OVER = ("ident", "sccs", "warning")
_CONDITIONS = ("if", "ifdef", "ifndef", "elif", "elifdef", "elifndef", "else", "endif")
_PUSHED = re.compile(r"pshpack(1|2|4|8|16)\.h", re.IGNORECASE)
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
_MACRO = re.compile(r"[A-Za-z_$][\w$]*(?:\([^()]*\))?", re.ASCII)
_FLAGS = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Preprocessor:
    """The stream of tokens that a text is after its directives.

    ``#include <...>``, and ``"..."`` that is in no folder of `include`, is passed over: what it would have
    declared is then unknown, and refused where it is used.

    Attributes
    ----------
    missing : list of str
        The files passed over.
    main : str or None
        The file that the text's line markers begin with; None: it has none.
    """

    def __init__(
        self,
        abi: Abi,
        pack: int | None = None,
        defines: Mapping[str, int | str] | None = None,
        include: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        self.missing: list[str] = []
        self.main: str | None = None
        self._abi = abi
        self._packing = Packing(pack)
        self._include = [Path(folder) for folder in include]
        self._once: set[Path] = set()
        self._characters = 0
        self._macros = Macros(dict(predefined(abi)))
        for name, value in (defines or {}).items():
            self._macros.defined.update([_defined(name, value)])

    def tokens(self, source: Source) -> Iterator[Token]:
        """Yield what is live, macros expanded; a token of kind ``"pack"`` where the packing changes.

        Raises
        ------
        SchemaError
            A directive that is wrong, or that is not understood and could change a layout.
        """
        stream = self._macros.expanded(self._live(source, 0, None))
        for token in stream:
            if token.kind == "word" and token.text in ("_Pragma", "__pragma"):
                packed = self._operator(token, stream)
                if packed:
                    yield packed
            else:
                yield token

    def _operator(self, token: Token, stream: Iterator[Token]) -> Token | None:
        first = next(stream, None)
        line: list[Token] = []
        depth = 1
        if first is not None and first.text == "(":
            for one in stream:
                depth += (one.text == "(") - (one.text == ")") if one.kind == "mark" else 0
                if not depth:
                    break
                line.append(one)
        if depth:
            raise refusal(token, "has no text in brackets behind it")
        if token.text == "_Pragma":
            if len(line) != 1 or line[0].kind != "string":
                raise refusal(token, "has no text in brackets behind it")
            text = line[0].text.partition('"')[2][:-1].replace('\\"', '"').replace("\\\\", "\\")
            line = [
                one._replace(at=token.at, source=token.source)
                for one in tokens_of(Source(text))
                if one.kind != "line"
            ]
        return self._packing.pragma(token, line)

    def _live(self, source: Source, level: int, path: Path | None) -> Iterator[Token]:
        self._characters += len(source.text)
        if self._characters > MAX_TEXT:
            raise Fatal(
                f"the text has more than {MAX_TEXT} characters, what it includes counted in; cut it down"
            )
        conditions: list[list[bool | Token]] = []  # live now; a branch was taken; the directive; #else was
        live = True
        stream = tokens_of(source)
        for token in stream:
            self._macros.spend(1, token)
            if token.kind == "line":
                continue
            if not (token.begins and token.text == "#" and token.kind == "mark"):
                if live:
                    yield token
                continue
            line = []
            self._macros.spend(_DIRECTIVE, token)
            for one in stream:
                if one.kind == "line":
                    break
                self._macros.spend(1, one)
                line.append(one)
            if not line:
                continue
            name = line[0]
            if name.text in _CONDITIONS:
                live = self._condition(name, line[1:], conditions, live)
            elif live:
                yield from self._directive(source, name, line, level, path)
        if conditions:
            raise fatal(conditions[-1][2], "has no #endif")

    def _condition(self, name: Token, line: list[Token], conditions: list[list], live: bool) -> bool:
        if name.text in ("if", "ifdef", "ifndef"):
            outer = live
            taken = outer and self._asked(name, line)
            conditions.append([outer, taken, name, False])
            return taken
        if not conditions:
            raise fatal(name, "stands behind no #if")
        current = conditions[-1]
        if name.text == "endif":
            conditions.pop()
            return bool(current[0])
        if current[3]:
            raise fatal(name, "stands behind #else")
        if name.text == "else":
            current[3] = True
            return bool(current[0]) and not current[1]
        taken = bool(current[0]) and not current[1] and self._asked(name, line)
        current[1] = current[1] or taken
        return taken

    def _asked(self, name: Token, line: list[Token]) -> bool:
        if name.text.endswith("def"):
            if not line or line[0].kind != "word":
                raise fatal(name, "names no macro")
            return (line[0].text in self._macros.defined) == (name.text[-4] != "n")
        try:
            return self._value(name, line) != 0
        except SchemaError as error:
            raise Fatal(str(error)) from None

    def _value(self, name: Token, line: list[Token]) -> int:
        asked: list[Token] = []
        at = 0
        while at < len(line):
            token = line[at]
            if token.text == "defined" and token.kind == "word":
                inner = line[at + 1 : at + 4]
                bracketed = bool(inner) and inner[0].text == "("
                what = inner[1:2] if bracketed else inner[:1]
                if (
                    not what
                    or what[0].kind != "word"
                    or (bracketed and (len(inner) < 3 or inner[2].text != ")"))
                ):
                    raise refusal(token, "names no macro")
                value = str(int(what[0].text in self._macros.defined))
                asked.append(token._replace(kind="number", text=value))
                at += 3 if bracketed else 1
            else:
                asked.append(token)
            at += 1
        end = name._replace(kind="end", text="")
        expanded = list(self._macros.expanded(iter(asked)))
        for token in expanded:
            if token.text in ("defined", "__has_include", "__has_include_next") and token.kind == "word":
                raise refusal(token, "is not understood here")
        return Constants(iter(expanded), end, self._abi, widest=True).whole(f"#{name.text}")

    def _directive(
        self, source: Source, name: Token, line: list[Token], level: int, path: Path | None
    ) -> Iterator[Token]:
        rest = line[1:]
        if name.kind == "number" or name.text == "line":
            self._marker(source, name, line if name.kind == "number" else rest)
        elif name.text == "define":
            if not rest:
                raise refusal(name, "defines nothing")
            self._macros.defined.update([macro_of(rest)])
        elif name.text == "undef":
            if not rest or rest[0].kind != "word":
                raise refusal(name, "names no macro")
            self._macros.defined.pop(rest[0].text, None)
        elif name.text in ("include", "include_next"):
            yield from self._included(name, rest, level, path)
        elif name.text == "pragma":
            if rest and rest[0].text == "once" and path:
                self._once.add(path)
            if rest and rest[0].text == "pack":
                for token in rest[1:] if not self._abi.microsoft else ():
                    if token.kind == "word" and token.text in self._macros.defined:
                        raise fatal(
                            token, "is a macro, which not every compiler expands here; write its value"
                        )
                rest = list(self._macros.expanded(iter(rest)))
            packed = self._packing.pragma(name, rest)
            if packed:
                yield packed
        elif name.text == "error":
            said = source.text[name.at + 5 :].partition("\n")[0].strip()
            raise fatal(name, f"is reached: {shown(said)}")
        elif name.text not in _PASSED_OVER:
            raise fatal(name, "is no directive that is known here")

    def _marker(self, source: Source, name: Token, line: list[Token]) -> None:
        number = line[0] if line else name
        if not number.text.isdigit() or len(number.text) > 9:
            raise refusal(number, "is no number of a line")
        file = source.place(name.at)[0]
        if len(line) > 1 and (match := _FLAGS.match(line[1].text)):
            file = match[1].replace("\\\\", "\\")
        if self.main is None:
            self.main = file
        source.mark(name.at, int(number.text), file)

    def _included(self, name: Token, rest: list[Token], level: int, path: Path | None) -> Iterator[Token]:
        if rest and rest[0].kind == "word":
            rest = list(self._macros.expanded(iter(rest)))
        if not rest or not (rest[0].text == "<" or rest[0].kind == "string"):
            raise fatal(name, 'is followed by no "file" and no <file>')
        quoted = rest[0].kind == "string"
        file = rest[0].text[1:-1] if quoted else "".join(token.text for token in rest[1:]).partition(">")[0]
        base = re.split(r"[/\\]", file)[-1].lower()
        if match := _PUSHED.fullmatch(base):
            yield from filter(None, [self._packing.push(name, int(match[1]))])
            return
        if base == "poppack.h":
            yield from filter(None, [self._packing.pop(name)])
            return
        self._macros.spend(_INCLUDE, name)
        found = self._found(file, path) if quoted and name.text == "include" else None
        if found is None:
            self.missing.append(file)
        elif found not in self._once:
            if level >= _MAX_INCLUDES:
                raise fatal(name, f"is nested deeper than {_MAX_INCLUDES}; {shown(file)} includes itself")
            yield from self._live(Source(_read(found, name), file), level + 1, found)

    def _found(self, file: str, path: Path | None) -> Path | None:
        if "\0" in file or Path(file).is_absolute():
            return None
        for folder in ([path.parent] if path else []) + self._include:
            try:
                # Only files: a pipe or a device would never end.
                if stat.S_ISREG(os.stat(folder / file).st_mode):
                    return (folder / file).resolve()
            except (OSError, ValueError):
                continue
        return None


def _read(path: Path, name: Token) -> str:
    try:
        # Some files of /proc wait for more like a pipe does.
        with open(path, "rb", opener=lambda file, flags: os.open(file, flags | _NOT_WAITING)) as file:
            raw = file.read(MAX_TEXT + 1) or b""
    except OSError as error:
        raise fatal(name, f"of {shown(str(path))} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_TEXT:
        raise fatal(name, f"of {shown(str(path))} takes more than {MAX_TEXT} bytes in")
    return raw.decode("utf-8-sig", "replace")


def _defined(name: object, value: object) -> tuple[str, Macro]:
    if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, int | str):
        raise SchemaError(
            f"defines: {shown(name)} to {shown(value)}; they are names to numbers or texts of C"
        )
    if not _MACRO.fullmatch(name):
        raise SchemaError(f"defines: {shown(name)} is no name of a macro")
    try:
        text = f"{name} {value}"
    except ValueError:
        raise SchemaError(f"defines: {shown(name)} stands for a number of too many digits") from None
    if len(text) > 1 << 16:
        raise SchemaError(f"defines: {shown(name)} stands for more than 65536 characters")
    line = list(tokens_of(Source(text, "<defines>")))
    if not line or any(token.kind == "line" for token in line):
        raise SchemaError(f"defines: {shown(name)} is no name of a macro, or its text is no single line")
    return macro_of(line)
