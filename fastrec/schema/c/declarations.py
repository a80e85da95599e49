"""Declarations of C: from their text to types."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from fastrec.errors import SchemaError, shown, suggest
from fastrec.schema.abi import ABIS, Abi
from fastrec.schema.c.attributes import Attributes
from fastrec.schema.c.bodies import ASSERTS, Bodies, says_packing
from fastrec.schema.c.cursor import Fatal, fatal
from fastrec.schema.c.known import text_of
from fastrec.schema.c.names import Aligned, Character, Named, Tag, Unusable
from fastrec.schema.c.packing import PACKS
from fastrec.schema.c.preprocessor import Preprocessor
from fastrec.schema.c.specifiers import Known
from fastrec.schema.c.tokens import MAX_TEXT, Source, Token, refusal
from fastrec.schema.c.types import Array, Record, Scalar
from fastrec.schema.c.wellknown import known_by_name

__all__ = ["Declarations", "parse"]

_MAX_MENTIONED = 8
_MAX_LEVELS = 128
_WIDE = ("wchar_t", "char16_t", "char32_t", "WCHAR")


def parse(
    text: str,
    name: str | None,
    *,
    abi: Abi,
    pack: int | None,
    defines: Mapping[str, int | str | None],
    include: tuple[str | os.PathLike[str], ...],
    path: Path | None,
) -> Record:
    """Return the struct or union called `name`, whose ``tag`` is then its name; see `Schema.from_c`."""
    return Declarations(text, abi=abi, pack=pack, defines=defines, include=include, path=path).record(name)


class Declarations(Bodies):
    """All that a text declares, read once.

    Parameters
    ----------
    text : str
        At most `MAX_TEXT` characters.
    abi : Abi
    pack : int, optional
        The packing that holds where the text begins.
    defines : mapping of str to int, str or None, optional
    include : sequence of paths
        Folders in which includes are looked up; what is in none of them is passed over, and what depends on
        it refused.
    path : Path, optional
        Of the text's own file, beside which ``#include "..."`` is looked up first.
    file : str
        What errors call the text.

    Raises
    ------
    SchemaError
        The text is no C, or more than is understood here. What is wrong with one struct alone is raised by
        `record`, where it is asked for.
    """

    def __init__(
        self,
        text: str,
        *,
        abi: Abi,
        pack: int | None = None,
        defines: Mapping[str, int | str | None] | None = None,
        include: Sequence[str | os.PathLike[str]] = (),
        path: Path | None = None,
        file: str = "",
        known: Known | None = None,
    ) -> None:
        if not isinstance(text, str):
            raise SchemaError(f"declarations of C are a text, not {type(text).__name__}")
        if len(text) > MAX_TEXT:
            raise SchemaError(f"the text has {len(text)} characters; at most {MAX_TEXT} are possible")
        if pack is not None and (type(pack) is not int or pack not in PACKS):
            raise SchemaError(f"pack={shown(pack)}; it is 1, 2, 4, 8 or 16")
        source = Source(text.removeprefix("\ufeff"), file)
        self._preprocessor = Preprocessor(abi, pack, defines, include, path)
        super().__init__(
            self._preprocessor.tokens(source), Token("end", "", len(text), source), abi, pack,
            self._preprocessor.unread, self._preprocessor.unsure,
        )  # fmt: skip
        self._known = known
        self._found: list[Tag] = []
        self._linkage = 0
        while self.peek().kind != "end":
            self._external()
            self.forget()
        if self._linkage:
            raise fatal(self.peek(), "stands where '}' is expected, behind extern \"C\"")

    @property
    def known(self) -> Known:
        if self._known is None:
            self._known = _known(self.abi)
        return self._known

    @property
    def names(self) -> tuple[str, ...]:
        """The structs and unions that `record` can be asked for, in the order of the text."""
        return tuple(one for tag in self._found for one in (_called(tag),) if one)

    def defined_in(self, name: str) -> str:
        """The file that defines one of `names`, as line markers have it."""
        return next(tag.token.file for tag in self._found if tag.token and _called(tag) == name)

    def record(self, name: str | None = None) -> Record:
        """Return a struct or union by its tag or a typedef of it.

        Parameters
        ----------
        name : str, optional
            ``"struct foo"`` is understood, too. Default: the only one of the text's own file that no other
            struct contains.

        Raises
        ------
        SchemaError
            There is no such struct, or more than one; or its definition has an error.
        """
        if name is None:
            tag = self._only()
            name = _called(tag)
            found: Named = tag
        elif not isinstance(name, str):
            raise SchemaError(f"a struct is asked for by its name, not by {shown(name)}")
        else:
            found = self._asked(name)
            name = name.split()[-1]
        record = self.resolved(found, self._end)
        if not isinstance(record, Record):
            raise SchemaError(f"{name!r:.80} is no struct or union{suggest(name, self.names)}")
        return replace(record, tag=name)

    def _asked(self, name: str) -> Named:
        words = name.split()
        if len(words) == 2 and words[0] in ("struct", "union"):
            tag = self.tags.get(words[1])
            if tag is not None and tag.keyword == words[0]:
                return tag
        elif len(words) == 1:
            found: Named | None = self.typedefs.get(words[0])
            # A typedef may be a pointer, and the struct have its name as well.
            if found is None or isinstance(found, Scalar | Array):
                found = self.tags.get(words[0], found)
            if found is None:
                found = self.known.typedefs.get(words[0]) or self.known.tags.get(words[0])
            if found is not None:
                return found
        raise SchemaError(
            f"no struct is called {shown(name)}{suggest(words[-1] if words else '', self.names)}"
            f"{self._undecided}"
        )

    @property
    def _undecided(self) -> str:
        """What may hide a struct that is not found."""
        why = self._preprocessor.undecided
        return f" ({why})" if why else ""

    def _only(self) -> Tag:
        main = self._preprocessor.main
        own = [
            tag for tag in self._found if main is None or (tag.token and tag.token.file == main)
        ] or self._found
        free = [tag for tag in own if not tag.inside and _called(tag)]
        if len(free) == 1:
            return free[0]
        if not free:
            failed = next((tag.error for tag in own if tag.error), None)
            raise failed or SchemaError(
                f"the text defines no struct or union that has a name; give it one{self._undecided}"
            )
        listed = ", ".join(repr(_called(tag))[:80] for tag in free[:_MAX_MENTIONED])
        more = f" and {len(free) - _MAX_MENTIONED} more" if len(free) > _MAX_MENTIONED else ""
        failed = next((f" ({_called(tag)[:80]!r}: {tag.error})" for tag in free if tag.error), "")
        raise SchemaError(f"the text defines {listed}{more}; name the one that is meant{failed}")

    def tagged(self, keyword: Token, *, variable: bool) -> tuple[Tag, bool]:
        tag, defines = super().tagged(keyword, variable=variable)
        if defines and tag.keyword != "enum":
            self._found.append(tag)
        return tag, defines

    def _external(self) -> None:
        token = self.peek()
        if self.accept(";"):
            return
        if token.text == "}" and token.kind == "mark" and self._linkage:
            self.take()
            self._linkage -= 1
        elif self.at(*ASSERTS):
            self.static_assert()
        elif token.text == "extern" and self.peek(1).kind == "string":
            self.take()
            self.take()
            if self.accept("{"):
                self._linkage += 1
        elif self.at("asm", "__asm__", "__asm") and self.peek(1).text == "(":
            self.take()
            self.skip()
        else:
            self._declaration()

    def _declaration(self) -> None:
        place = self.place
        try:
            self._declared()
        except Fatal:
            raise
        except SchemaError:
            # Objects and functions lay nothing out, whatever is not understood of them.
            self.back(place)
            if not self._passed():
                raise

    def _passed(self) -> bool:
        """Pass a declaration that defines no type; False: it may define one, or has no end."""
        before = self.peek()
        if before.kind != "word":
            return False
        behind = self.peek(1)
        if behind.kind == "end" or behind.text == "}":
            # A macro of a header that was not read, such as the end of what it began.
            return self.take().kind == "word" and not self.is_keyword(before.text)
        if behind.text == "(":
            self.take()
            self.skip()
            return not says_packing(before.text) and self.accept(";") is not None
        if behind.text == ";" and says_packing(before.text):
            return False
        previous = before
        while True:
            token = self.peek()
            if token.kind == "end" or token.text in ("typedef", "}") or token.kind == "odd":
                return False
            if token.text == "{" and token.kind == "mark":
                if previous.text not in (")", "="):
                    return False
                self.skip()
                if previous.text == ")":
                    return True
                continue
            if token.text in ("struct", "union", "enum") and "{" in (self.peek(1).text, self.peek(2).text):
                return False
            previous = token
            if token.text in ("(", "[") and token.kind == "mark":
                previous = self.skip()
                continue
            self.take()
            if token.text == ";":
                return True

    def _declared(self) -> None:
        first, place = self.peek(), self.place
        said = self.specifiers(strict=False)
        if self.accept(";"):
            said.attributes.check()
            if not isinstance(said.type, Tag) and not said.typedef:
                raise refusal(first, "begins a declaration of nothing")
            return
        while True:
            asked = replace(said.attributes)
            begin = self.peek()
            found = self.declarator(said.type, asked)
            self.attributes(asked)
            if found.name is None:
                if isinstance(said.type, Unusable):
                    raise said.type.refusal(first)
                raise refusal(begin, "stands where a name is expected")
            if said.typedef:
                unsure = self.doubt(place)
                self._typedef(found.name, Unusable(unsure) if unsure else found.type, asked)
            if self.at("{") and found.function:
                self.skip()
                return
            if self.accept("="):
                self._initializer()
            if self.accept(";"):
                return
            if not self.accept(","):
                raise refusal(self.peek(), "stands where ';' is expected, behind a declaration")

    def _initializer(self) -> None:
        while not self.at(";", ","):
            token = self.peek()
            if token.kind == "end":
                raise refusal(token, "stands where ';' is expected, behind an initializer")
            if self.at("(", "[", "{"):
                self.skip()
            else:
                self.take()

    def _typedef(self, name: Token, type_: Named, asked: Attributes) -> None:
        word = name.text
        if wrong := asked.wrong() or _unclear(type_, name, asked):
            type_ = Unusable(wrong)
        if asked.mode is not None:
            type_ = self.with_mode(self.resolved(type_, name), asked.mode, name)
        type_ = self._meant(word, type_)
        if asked.aligned:
            type_ = Aligned(type_, asked.aligned)
        before = self.typedefs.get(word)
        if before is not None and before != type_ and not isinstance(before, Unusable):
            raise fatal(name, "is declared twice, as different types")
        if word in self.enumerators:
            raise fatal(name, "is declared twice")
        self.typedefs[word] = type_
        if isinstance(type_, Tag):
            type_.aliases.append(word)

    def _meant(self, word: str, type_: Named) -> Named:
        """What the name of a type says of it beyond its layout."""
        if not isinstance(type_, Scalar) or not type_.integer:
            return type_
        if word in _WIDE and type_.size in (2, 4):
            return Character(
                type_.dtype, type_.align, integer=True, encoding="utf-16" if type_.size == 2 else "utf-32"
            )
        return known_by_name(word, type_)


def _unclear(type_: Named, name: Token, asked: Attributes) -> SchemaError | None:
    """Why a typedef's type is none that compilers agree on, or that can be told."""
    for _ in range(_MAX_LEVELS):
        if isinstance(type_, Array):
            type_ = type_.element
        elif isinstance(type_, Aligned):
            type_ = type_.type
        else:
            break
    else:
        return refusal(name, f"is made of more than {_MAX_LEVELS} typedefs and dimensions")
    if asked.aligned and isinstance(type_, Tag) and type_.meaning is None and not type_.error:
        return refusal(name, f"aligns {type_}, which is not complete here; compilers differ in what it means")
    return None


def _called(tag: Tag) -> str:
    """The name of a struct: its tag, or, where that is missing or hidden by an underscore, a typedef."""
    if tag.aliases and (not tag.name or tag.name.startswith("_")):
        return tag.aliases[0]
    return tag.name


@lru_cache(maxsize=len(ABIS))
def _known(abi: Abi) -> Known:
    read = Declarations(text_of(abi), abi=abi, file="<known>", known=Known({}, {}))
    return Known(read.typedefs, read.tags)
