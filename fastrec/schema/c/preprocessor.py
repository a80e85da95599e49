"""Directives: what of a text counts, what it includes, and the packing that ``#pragma pack`` asks for."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fastrec.errors import SchemaError, shown
from fastrec.schema.abi import Abi
from fastrec.schema.c.conditions import CONDITIONS, Conditions, Questions, included_file
from fastrec.schema.c.cursor import Fatal, fatal
from fastrec.schema.c.headers import own_text
from fastrec.schema.c.macros import Macro, Macros, macro_of
from fastrec.schema.c.packing import Packing
from fastrec.schema.c.predefined import predefined
from fastrec.schema.c.tokens import MAX_TEXT, Source, Token, refusal, tokens_of
from fastrec.schema.c.unread import Unread

__all__ = ["Preprocessor"]

_MAX_INCLUDES = 32
_DIRECTIVE = 16
"""How many tokens a directive counts as."""

_INCLUDE = 200

_PASSED_OVER = ("ident", "sccs", "warning")
_PUSHED = re.compile(r"pshpack(1|2|4|8|16)\.h", re.IGNORECASE)
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
_MACRO = re.compile(r"[A-Za-z_$][\w$]*(?:\([^()]*\))?", re.ASCII)
_FLAGS = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Preprocessor:
    """The stream of tokens that a text is after its directives.

    What is in no folder of `include`, or for ``"..."`` beside the text itself, is passed over. Where it could
    define what the text asks for, a token of kind ``"gap"`` or ``"doubt"`` says so.

    Attributes
    ----------
    unread : Unread
        The files passed over.
    undecided : str
        Why nobody knows what the first condition is of those that depend on them; ``""``: there is none.
    main : str or None
        The file that the text's line markers begin with; None: it has none.
    """

    def __init__(
        self,
        abi: Abi,
        pack: int | None = None,
        defines: Mapping[str, int | str | None] | None = None,
        include: Sequence[str | os.PathLike[str]] = (),
        path: Path | None = None,
    ) -> None:
        self.main: str | None = None
        self._abi = abi
        self._packing = Packing(pack)
        self._include = [_folder(folder) for folder in include]
        self._path = path
        self.undecided = ""
        self._doubts: list[str] = []
        self._once: set[Path] = set()
        self._characters = 0
        self._macros = Macros(dict(predefined(abi)))
        if not isinstance(defines, Mapping | None):
            raise SchemaError(f"defines must map names of macros to values, not be {shown(defines)}")
        given = {_checked(name): value for name, value in (defines or {}).items()}
        self.unread = Unread([name for name, value in given.items() if value is None])
        self._questions = Questions(self._macros, self.unread, abi, self._has)
        for name, value in given.items():
            self._macros.defined.pop(name, None)
            if value is not None:
                self._macros.defined.update([_defined(name, value)])

    def tokens(self, source: Source) -> Iterator[Token]:
        """Yield what is live, macros expanded; a token of kind ``"pack"`` where the packing changes.

        Raises
        ------
        SchemaError
            A directive that is wrong, or that is not understood and could change a layout.
        """
        stream = self._macros.expanded(self._live(source, 0, self._path))
        for token in stream:
            if token.kind == "word" and token.text in ("_Pragma", "__pragma"):
                self._sure()
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
        conditions, outside = Conditions(self._questions, source), self._doubts
        first, gap = True, False
        stream = tokens_of(source)
        for token in stream:
            self._macros.spend(1, token)
            if token.kind == "line":
                continue
            live = conditions.live
            if not (token.begins and token.text == "#" and token.kind == "mark"):
                if self._doubts and (live or not gap):
                    yield token._replace(kind="gap", text=self._doubts[-1])
                if live:
                    yield token
                first, gap = False, not live
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
            if name.text in CONDITIONS:
                conditions.meet(token, name, line[1:], first=first)
                self._doubts = outside + conditions.doubts
                self.undecided = self.undecided or "".join(self._doubts[:1])
            elif live:
                yield from self._directive(source, name, line, level, path)
            elif self._doubts:
                self._not_taken(name, line[1:])
            first = first and name.text == "pragma"
        conditions.end()

    def _not_taken(self, name: Token, rest: list[Token]) -> None:
        """Note what a directive would have done, had an unknown condition been another."""
        if name.text in ("define", "undef") and rest:
            self._macros.doubts[rest[0].text] = self._doubts[-1]
        elif name.text in ("include", "include_next") and rest:
            file = included_file(rest) or rest[0].text
            if _packing(file) is not None:
                self._sure()
            self.unread.add(file)
        elif name.text == "pragma" and rest and rest[0].text == "pack":
            self._sure()

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
            self._settle(rest[0])
        elif name.text == "undef":
            if not rest or rest[0].kind != "word":
                raise refusal(name, "names no macro")
            self._macros.defined.pop(rest[0].text, None)
            self._settle(rest[0])
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
                self._sure(rest)
            packed = self._packing.pragma(name, rest)
            if packed:
                yield packed
        elif name.text == "error":
            self._sure()
            said = source.text[name.at + 5 :].partition("\n")[0].strip()
            raise fatal(name, f"is reached: {shown(said)}")
        elif name.text not in _PASSED_OVER:
            raise fatal(name, "is no directive that is known here")

    def _settle(self, name: Token) -> None:
        """A macro has been defined, or is none from here on: for sure, or nobody knows."""
        if self._doubts:
            self._macros.doubts[name.text] = self._doubts[-1]
        else:
            self._macros.doubts.pop(name.text, None)

    def _sure(self, line: Iterable[Token] = ()) -> None:
        """Refuse what changes all that follows, where nobody knows whether it is reached or what it says."""
        doubts = self._doubts + [token.text for token in line if token.kind == "doubt"]
        if doubts:
            raise Fatal(doubts[-1])

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
            self._sure(rest[:1])
        file = included_file(rest)
        if file is None:
            raise fatal(name, 'is followed by no "file" and no <file>')
        packing = _packing(file)
        if packing is not None:
            self._sure()
            yield from filter(
                None, [self._packing.push(name, packing) if packing else self._packing.pop(name)]
            )
            return
        self._macros.spend(_INCLUDE, name)
        found = None
        if name.text == "include":
            found = self._found(file, path, quoted=rest[0].kind == "string")
        if found is None:
            self.unread.add(file)
            yield from self._live(Source(own_text(file), file), level, None)
        elif found not in self._once:
            if level >= _MAX_INCLUDES:
                raise fatal(name, f"is nested deeper than {_MAX_INCLUDES}; {shown(file)} includes itself")
            yield from self._live(Source(_read(found, name), file), level + 1, found)

    def _has(self, file: str, quoted: bool) -> bool:
        return self._found(file, self._path, quoted=quoted) is not None

    def _found(self, file: str, path: Path | None, *, quoted: bool) -> Path | None:
        if "\0" in file or Path(file).is_absolute():
            return None
        for folder in ([path.parent] if path and quoted else []) + self._include:
            try:
                # Only files: a pipe or a device would never end.
                if stat.S_ISREG(os.stat(folder / file).st_mode):
                    return (folder / file).resolve()
            except (OSError, ValueError):
                continue
        return None


def _packing(file: str) -> int | None:
    """What a header of Microsoft's that only packs sets; 0: what was before; None: it is none of them."""
    base = re.split(r"[/\\]", file)[-1].lower()
    match = _PUSHED.fullmatch(base)
    return int(match[1]) if match else 0 if base == "poppack.h" else None


def _folder(folder: object) -> Path:
    if not isinstance(folder, str | os.PathLike) or not os.path.isdir(folder):
        raise SchemaError(f"include: {shown(folder)} is no folder")
    return Path(folder)


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


def _checked(name: object) -> str:
    if not isinstance(name, str) or not _MACRO.fullmatch(name):
        raise SchemaError(f"defines: {shown(name)} is no name of a macro")
    return name


def _defined(name: str, value: object) -> tuple[str, Macro]:
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
