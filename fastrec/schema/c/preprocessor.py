"""Directives: what of a text counts, what it includes, and the packing that ``#pragma pack`` asks for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fastrec.errors import SchemaError, shown
from fastrec.schema.abi import Abi
from fastrec.schema.c.conditions import CONDITIONS, Conditions, Questions, included_file
from fastrec.schema.c.cursor import Fatal, fatal
from fastrec.schema.c.files import Folders, read
from fastrec.schema.c.headers import BEFORE, is_foreign
from fastrec.schema.c.known import POSIX, WINDOWS, owner_of
from fastrec.schema.c.macros import Macro, Macros, macro_name, macro_of, macro_said
from fastrec.schema.c.packing import Packing
from fastrec.schema.c.predefined import predefined
from fastrec.schema.c.standins import stand_in
from fastrec.schema.c.tokens import MAX_TEXT, Source, Token, refusal, tokens_of
from fastrec.schema.c.unread import Skipped, Unread

__all__ = ["Preprocessor"]

_MAX_INCLUDES = 32
_DIRECTIVE = 16
"""How many tokens a directive counts as."""

_INCLUDE = 200

_PRAGMAS = ("_Pragma", "__pragma")
_SAVED = ("push_macro", "pop_macro")
_INCLUDES = re.compile(r"#[ \t]*+include(?![ \t]*+[<\"](?:pshpack\d+|poppack)\.h)")
_PACKS = re.compile(
    r"pack\w*(?:push|begin|start|on)(?:[_.]|$)|(?:push|begin|pre|set|pshp?)_?pack|bpstruct|packing\.h",
    re.IGNORECASE,
)
"""Names of headers that pack what comes behind them, wherever they stand."""

_PASSED_OVER = ("ident", "sccs", "warning")
_PUSHED = re.compile(r"pshpack(1|2|4|8|16)\.h", re.IGNORECASE)
_FLAGS = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Preprocessor:
    """The stream of tokens that a text is after its directives.

    What is in no folder of `include`, or for ``"..."`` beside the text itself, is passed over. Where it could
    define what the text asks for, a token of kind ``"gap"`` or ``"doubt"`` says so.

    Attributes
    ----------
    unread : Unread
        The files passed over.
    unsure : dict of str to str
        Names of types that may have been declared where nobody knows whether it counts: why.
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
        self._folders = Folders(include)
        self._path = path
        self.undecided = ""
        self.unsure: dict[str, str] = {}
        self._doubts: list[str] = []
        self._between: list[str] = []
        self._once: set[Path] = set()
        self._perhaps: set[Path] = set()
        self._declared = False
        self._pushed: dict[str, list[Macro | None]] = {}
        self._characters = 0
        self._macros = Macros(dict(predefined(abi)))
        if not isinstance(defines, Mapping | None):
            raise SchemaError(f"defines must map names of macros to values, not be {shown(defines)}")
        given = {macro_name(name): value for name, value in (defines or {}).items()}
        self._said = frozenset(given)
        self.unread = Unread([name for name, value in given.items() if value is None])
        self._questions = Questions(self._macros, self.unread, abi, self._has)
        for name, value in given.items():
            self._macros.defined.pop(name, None)
            if value is not None:
                self._macros.defined.update([macro_said(name, value)])

    def tokens(self, source: Source) -> Iterator[Token]:
        """Yield what is live, macros expanded; a token of kind ``"pack"`` where the packing changes.

        Raises
        ------
        Fatal
            A directive that is wrong, or that is not understood and could change a layout.
        """
        if not source.name and _needs_others(source.text):
            self.unread.add(BEFORE)
        try:
            yield from self._tokens(source)
        except Fatal:
            raise
        except SchemaError as error:
            # Nothing is known of what would come behind it.
            raise Fatal(str(error)) from None

    def _tokens(self, source: Source) -> Iterator[Token]:
        stream = self._macros.expanded(self._live(source, 0, self._path))
        for token in stream:
            if token.kind == "word" and token.text in _PRAGMAS:
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

    def _live(self, source: Source, level: int, path: Path | None, *, counts: bool = True) -> Iterator[Token]:
        self._characters += len(source.text)
        if self._characters > MAX_TEXT:
            raise Fatal(
                f"the text has more than {MAX_TEXT} characters, what it includes counted in; cut it down"
            )
        conditions, before = Conditions(self._questions, source, live=counts), self._declared
        outside = self._doubts
        self._declared = False
        first, gap, skipped = True, False, Skipped()
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
                    self._declared = self._declared or token.text == ";"
                    yield token
                elif self._doubts:
                    self._perhaps_declares(token, skipped)
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
                conditions.meet(token, name, line[1:], first=first or not level)
                self._doubts = outside + self._between + conditions.doubts
                self.undecided = self.undecided or "".join(self._doubts[:1])
                skipped, gap = Skipped(), False
            elif live:
                yield from self._directive(source, name, line, level, path)
            elif self._doubts:
                yield from self._not_taken(name, line[1:], level, path)
            first = first and name.text == "pragma"
        conditions.end()
        self._declared = before

    def _perhaps_declares(self, token: Token, skipped: Skipped) -> None:
        """Note the types that text declares of which nobody knows whether it counts."""
        seen: set[str] = set()
        asked = [token] if token.kind == "word" else []
        while asked:
            word = asked.pop().text
            if word in _PRAGMAS:
                raise Fatal(self._doubts[-1])
            macro = self._macros.defined.get(word)
            if macro is not None and word not in seen:
                seen.add(word)
                self._macros.spend(len(macro.body), token)
                asked += macro.body
        for name in skipped.declared(token):
            self.unsure.setdefault(name, self._doubts[-1])

    def _not_taken(self, name: Token, rest: list[Token], level: int, path: Path | None) -> Iterator[Token]:
        """Note what a directive would have done, had an unknown condition been another."""
        if name.text in ("define", "undef") and rest:
            self._macros.doubts[rest[0].text] = self._doubts[-1]
        elif name.text in ("include", "include_next") and rest:
            file = included_file(rest) or rest[0].text
            if _packing(file) is not None:
                self._sure()
            found = self._folders.find(file, path, quoted=rest[0].kind == "string")
            if found is None:
                self._pass_over(name, file, rest[0], counts=False)
            elif found not in self._perhaps and level < _MAX_INCLUDES:
                self._perhaps.add(found)
                yield from self._live(Source(read(found, name), file), level + 1, found, counts=False)
        elif name.text == "pragma" and rest and rest[0].text in ("pack", *_SAVED):
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
            if rest and rest[0].text in _SAVED:
                self._save(rest)
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

    def _save(self, rest: list[Token]) -> None:
        """``#pragma push_macro("N")`` keeps what a macro is, ``pop_macro`` brings it back."""
        self._sure()
        if [one.text for one in rest[1:4:2]] != ["(", ")"] or len(rest) != 4 or rest[2].kind != "string":
            raise refusal(rest[0], 'is followed by no ("NAME")')
        word = rest[2].text[1:-1]
        if word in self._macros.doubts:
            raise Fatal(self._macros.doubts[word])
        kept = self._pushed.setdefault(word, [])
        if rest[0].text == "push_macro":
            kept.append(self._macros.defined.get(word))
        elif kept:
            macro = kept.pop()
            self._macros.defined.pop(word, None)
            self._macros.defined.update({word: macro} if macro else {})

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
        found = self._folders.find(
            file, path, quoted=rest[0].kind == "string", again=name.text == "include_next"
        )
        if found is None:
            spelled = self._pass_over(name, file, rest[0])
            yield name._replace(kind="gap", text=str(_stands_here(name, file)))
            yield from self._live(Source(stand_in(spelled, self._said), file), level, None)
        elif found not in self._once:
            if level >= _MAX_INCLUDES:
                raise fatal(name, f"is nested deeper than {_MAX_INCLUDES}; {shown(file)} includes itself")
            yield from self._live(Source(read(found, name), file), level + 1, found)

    def _pass_over(self, name: Token, file: str, first: Token, *, counts: bool = True) -> str:
        """Note a file that is not read; its name as it is included."""
        spelled = f"<{file}>" if first.text == "<" else f'"{file}"'
        between = self._declared or _PACKS.search(file)
        if counts and between and is_foreign(spelled) and not self._between:
            # What is included between declarations may pack those behind it.
            self._between = [str(_stands_here(name, file))]
            self._doubts = self._doubts + self._between
        self.unread.add(spelled)
        return spelled

    def _has(self, file: str, quoted: bool) -> bool:
        return self._folders.find(file, self._path, quoted=quoted) is not None


def _stands_here(name: Token, file: str) -> SchemaError:
    told = f"of {shown(file)} stands between declarations, which it may change, and was not read"
    return refusal(name, f"{told}: name its folder in include (-I)")


def _packing(file: str) -> int | None:
    """What a header of Microsoft's that only packs sets; 0: what was before; None: it is none of them."""
    base = re.split(r"[/\\]", file)[-1].lower()
    match = _PUSHED.fullmatch(base)
    return int(match[1]) if match else 0 if base == "poppack.h" else None


def _needs_others(text: str) -> bool:
    """Whether it is a header for behind others: it uses types of the system, and includes none."""
    if _INCLUDES.search(text) or not re.search(r"#[ \t]*+(?:el)?if", text):
        return False
    # What stands before a semicolon, or behind a body, is what the text declares itself.
    own = {*re.findall(r"\b(\w++)\s*+;", text), *re.findall(r"\}\s*+(\w++)", text)}
    words = {*re.findall(r"[A-Za-z_]\w*+", text)} - own
    return any(owner_of(word) in (WINDOWS, POSIX) for word in words)
