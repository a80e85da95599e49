"""Bodies of structs, unions and enums: from braces to types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fastrec.errors import SchemaError, shown
from fastrec.schema.c import numbers, scalars
from fastrec.schema.c.attributes import Attributes
from fastrec.schema.c.cursor import Fatal, fatal
from fastrec.schema.c.docs import doc_of
from fastrec.schema.c.layout import lay_out
from fastrec.schema.c.measures import Measures
from fastrec.schema.c.names import Named, Tag
from fastrec.schema.c.numbers import Number
from fastrec.schema.c.specifiers import Specified
from fastrec.schema.c.tokens import Token, refusal
from fastrec.schema.c.types import Array, Declared, Record, Scalar, Type
from fastrec.schema.labels import MAX_ENUMERATORS, Enumeration

__all__ = ["ASSERTS", "Bodies", "says_packing"]

MAX_MEMBERS = 4096
MAX_SIZE = 1 << 40
ASSERTS = ("_Static_assert", "static_assert")
_LIKE_ATTRIBUTE = re.compile(
    r"(?=[A-Z0-9_]+$|__)\w*?(?:\b|_)(?:UN)?(?:PACK|ALIGN)(?:ED|ING|MENT)?\d*(?:_|$)|__\w*(?:pack|align)"
)
_LIKE_MACRO = re.compile(
    r"(?:[A-Z][A-Z0-9_]*|__\w+|(?:attr(?:ibute)?_)?(?:packed|pack|aligned)(?:_attr(?:ibute)?|_struct)?)$"
)


def says_packing(word: str) -> bool:
    """Whether a name, of what may be a macro, says that it packs or aligns."""
    return re.search("pack|align", word, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class _Member:
    """A member, and the tokens between which its declaration stands."""

    declared: Declared
    first: Token
    last: Token


class Bodies(Measures):
    """Reads what stands behind ``struct``, ``union`` and ``enum``."""

    def tagged(self, keyword: Token, *, variable: bool) -> tuple[Tag, bool]:
        asked, begin = Attributes(), self.place - 1
        self.pass_over(asked)
        name = self.take() if self.peek().kind == "word" and not self.is_keyword(self.peek().text) else None
        fixed = None
        if self.at(":") and keyword.text == "enum":
            if name is not None and not self.begins_type(self.peek(1)):
                return self._tag(keyword, name), False  # a bit-field without a name
            self.take()
            fixed = self.specifiers(strict=True).type
        elif self.at(":") and name is not None:
            raise refusal(self.peek(), "is C++; C structs have no bases")
        if not self.at("{"):
            if name is None:
                raise refusal(self.peek(), f"stands where a name or a body of {keyword.text} is expected")
            return self._tag(keyword, name), False
        tag = self._tag(keyword, name) if name else Tag(keyword.text, "")
        if tag.open or tag.meaning or tag.error:
            raise refusal(name or keyword, f"is defined twice, as {tag.keyword}")
        self._define(tag, name or keyword, asked, fixed, begin)
        if variable and not tag.error:
            tag.error = self._macro_like(self.peek(), _LIKE_MACRO)
        return tag, True

    def _tag(self, keyword: Token, name: Token) -> Tag:
        tag = self.tags.setdefault(name.text, Tag(keyword.text, name.text))
        if tag.keyword != keyword.text:
            raise refusal(name, f"is said to be a {keyword.text}, but is a {tag.keyword}")
        return tag

    def _define(self, tag: Tag, where: Token, asked: Attributes, fixed: Named | None, begin: int) -> None:
        tag.token, tag.open = where, True
        place = self.place
        try:
            meaning = self._enum(tag, asked, fixed) if tag.keyword == "enum" else self._record(tag, asked)
            doubt = self.doubt(begin)
            if doubt and isinstance(meaning, Scalar) and meaning.labels:
                for name, _ in meaning.labels.enumerators:
                    self.enumerators[name] = replace(self.enumerators[name], error=doubt)
            if unsure := (
                doubt
                or self._macro_like(where, _LIKE_ATTRIBUTE)
                or self._macro_like(self.peek(), _LIKE_ATTRIBUTE)
            ):
                raise unsure
            tag.meaning = meaning
        except Fatal:
            raise
        except SchemaError as error:
            # The rest of the text does not depend on what this one would have been, unless it is used.
            tag.error = error
            self.back(place)
            self.skip()
            self.attributes(Attributes())
        tag.open = False

    def _macro_like(self, word: Token, like: re.Pattern[str]) -> SchemaError | None:
        """``struct PACKED {`` and ``} PACKED;``: what is written like an attribute may be one."""
        if word.kind != "word" or not like.match(word.text):
            return None
        why = self.unread.doubt(word)
        return SchemaError(why) if why else None

    def _record(self, tag: Tag, asked: Attributes) -> Record:
        brace = self.peek()
        pack = self.pack
        self.take()
        members: list[_Member] = []
        seen: set[str] = set()
        while not self.at("}"):
            if self.peek().kind == "end":
                raise fatal(brace, "is never closed")
            for member in self._members():
                self._add(member, members, seen)
        if self.pack != pack and self.packed_by:
            raise refusal(
                self.packed_by, "changes the packing within a struct; compilers differ in what it means"
            )
        self.take()
        self.attributes(asked)
        if wrong := asked.wrong():
            raise wrong
        union = tag.keyword == "union"
        declared = [replace(one.declared, doc=doc_of(one.first, one.last)) for one in members]
        self._check(
            tag, [replace(one, declared=said) for one, said in zip(members, declared, strict=True)], brace
        )
        record = lay_out(
            self.abi, tag.name, declared, union=union, pack=pack, packed=asked.packed, aligned=asked.aligned
        )
        if record.size > MAX_SIZE:
            raise refusal(brace, f"begins a {tag.keyword} of {record.size} bytes")
        return record

    def _check(self, tag: Tag, members: list[_Member], brace: Token) -> None:
        if not members and self.abi.microsoft:
            raise refusal(brace, f"begins a {tag.keyword} without members; give it at least one")
        for number, member in enumerate(members):
            type_ = member.declared.type
            if not isinstance(type_, Array) or type_.count is not None or tag.keyword == "union":
                continue
            if number != len(members) - 1:
                raise refusal(
                    member.last, "stands behind an array of unknown size; only the last member can be one"
                )
            if not any(one.declared.name or one.declared.width is None for one in members[:-1]):
                raise refusal(member.last, "stands behind an array of unknown size that is the only member")

    def _add(self, member: _Member, members: list[_Member], seen: set[str]) -> None:
        for name in _names(member.declared):
            if name in seen:
                raise refusal(member.first, f"begins a second member named {name!r:.80}")
            seen.add(name)
        members.append(member)
        if len(members) > MAX_MEMBERS:
            raise fatal(
                member.first, f"begins one member more than the {MAX_MEMBERS} that a struct can have here"
            )

    def _members(self) -> Iterator[_Member]:
        first = self.peek()
        if self.accept(";"):
            return
        if self.at(*ASSERTS):
            self.static_assert()
            return
        said = self.specifiers(strict=True)
        if said.typedef:
            raise refusal(first, "begins a typedef within a struct")
        if self.at(";"):
            if self._is_anonymous(said, first):
                if said.attributes.layout and not self.abi.microsoft:
                    raise refusal(
                        said.attributes.layout,
                        "stands before a struct without a name; compilers differ in what it means there",
                    )
                yield self._member(None, said.type, None, said.attributes, first, self.peek())
            self.take()
            return
        while True:
            asked = replace(said.attributes)
            begin = self.peek()
            type_: Named = said.type
            name = width = None
            if not self.at(":"):
                found = self.declarator(said.type, asked)
                if found.function:
                    raise refusal(begin, "declares a function; a C struct has none, only pointers to them")
                name, type_ = found.name, found.type
                if name is None:
                    raise refusal(self.peek(), "stands where the name of a member is expected")
                self.attributes(asked)
            if self.accept(":"):
                width = self.constant("the width of a bit-field")
                self.attributes(asked)
            last = self.peek()
            yield self._member(name, type_, width, asked, first, last)
            first = self.peek(1)
            if self.accept(";"):
                return
            if not self.accept(","):
                raise refusal(last, "stands where ';' is expected, behind a member")

    def _is_anonymous(self, said: Specified, first: Token) -> bool:
        if isinstance(said.type, Tag) and said.type.keyword != "enum":
            if said.defines and not said.type.name:
                return True
            if self.abi.microsoft:
                return True
            if said.defines:
                return False
        elif isinstance(said.type, Tag) and said.defines:
            return False
        raise refusal(first, "begins a declaration without a member")

    def _member(
        self,
        name: Token | None,
        type_: Named,
        width: int | None,
        asked: Attributes,
        first: Token,
        last: Token,
    ) -> _Member:
        asked.check()
        where = name or first
        found = self.resolved(type_, where, inside=True)
        if asked.mode is not None:
            found = self.with_mode(found, asked.mode, where)
        if found.size > MAX_SIZE:
            raise refusal(where, f"has {found.size} bytes")
        if width is not None:
            found = self._bits(found, width, name, where)
        text = name.text if name else ""
        return _Member(Declared(text, found, width, asked.packed, asked.aligned), first, last)

    def _bits(self, type_: Type, width: int, name: Token | None, where: Token) -> Scalar:
        if not isinstance(type_, Scalar) or not type_.integer:
            raise refusal(where, "is a bit-field of a type that is no integer")
        most = scalars.bits_of(type_)[0] if type_.dtype.kind != "S" else 8
        if not 0 <= width <= most or (name and not width):
            raise refusal(where, f"is a bit-field of {width} bits; its type has {most}")
        if type_.dtype.kind == "S":
            return replace(type_, dtype=np.dtype("i1" if self.abi.signed_char else "u1"))
        # A compiler places the bits of a __be32 as it does those of any integer.
        return replace(type_, dtype=type_.dtype.newbyteorder("<"))

    def with_mode(self, type_: Type, size: int, token: Token) -> Type:
        """The type as wide as ``mode`` makes it."""
        if isinstance(type_, Scalar) and type_.integer and type_.dtype.kind in "iu":
            return replace(scalars.integer(self.abi, size, type_.dtype.kind == "i"), labels=type_.labels)
        if isinstance(type_, Scalar) and type_.dtype.kind == "f" and size >= 4:
            return scalars.floating(self.abi, size)
        raise refusal(token, "has a mode that its type cannot have")

    def static_assert(self) -> None:
        """Read a static assertion.

        Raises
        ------
        SchemaError
            It is false.
        """
        word = self.take()
        self.expect("(", f"behind {word.text!r}")
        value = self.constant("a static assertion")
        parts = []
        if self.accept(","):
            while self.peek().kind == "string":
                parts.append(self.take().text)
        self.expect(")", f"behind {word.text!r}")
        self.expect(";", f"behind {word.text!r}")
        if not value:
            raise refusal(
                word, f"fails{': ' + shown(''.join(parts)) if parts else ''}; is this the right ABI?"
            )

    def _enum(self, tag: Tag, asked: Attributes, fixed: Named | None) -> Scalar:
        brace = self.take()
        values: dict[str, int] = {}
        previous = Number(-1)
        base = self.resolved(fixed, brace) if fixed is not None else None
        if base is not None and (not isinstance(base, Scalar) or base.dtype.kind not in "iu"):
            raise refusal(brace, "begins an enum of a type that is no integer")
        while not self.at("}"):
            token = self.take()
            if token.kind == "end":
                raise fatal(brace, "is never closed")
            if token.kind != "word" or self.is_keyword(token.text):
                raise refusal(token, "is no name of an enumerator")
            if token.text in self.enumerators or token.text in self.typedefs:
                raise fatal(token, "is declared twice")
            self.attributes(Attributes())
            value = Number(previous.value + 1)
            if self.accept("="):
                value = Number(self.constant("the value of an enumerator"))
            value = self._enumerator(token, value.value, base)
            values[token.text] = value.value
            self.enumerators[token.text] = previous = value
            if len(values) > MAX_ENUMERATORS:
                raise fatal(token, f"is one enumerator more than {MAX_ENUMERATORS}")
            if not self.at("}"):
                self.expect(",", "behind an enumerator")
        self.take()
        self.attributes(asked)
        if wrong := asked.wrong():
            raise wrong
        if not values:
            raise refusal(brace, "begins an enum without enumerators; give it at least one")
        found = base or self._enum_type(values, asked.packed, brace)
        if asked.mode:
            found = scalars.integer(self.abi, asked.mode, found.dtype.kind == "i")
        if not self.abi.microsoft:
            # Once the enum is complete, what an int cannot hold has the type of all of it.
            for name, value in values.items():
                if not Number(value).fits():
                    self.enumerators[name] = Number(value, *scalars.bits_of(found))
        return replace(found, labels=Enumeration(values))

    def _enumerator(self, token: Token, value: int, base: Scalar | None) -> Number:
        if base is not None:
            number = Number(value, *scalars.bits_of(base))
            if not number.fits():
                raise refusal(token, f"has the value {value}, which its type cannot hold")
            return number
        if self.abi.microsoft:
            return numbers.cast(Number(value), 32, True)
        for bits, signed in ((32, True), (32, False), (64, True), (64, False)):
            number = Number(value, bits, signed)
            if number.fits():
                return number
        raise refusal(token, f"has the value {value}, which no type can hold")

    def _enum_type(self, values: dict[str, int], packed: bool, brace: Token) -> Scalar:
        if self.abi.microsoft:
            return scalars.integer(self.abi, 4, True)
        low, high = min(values.values()), max(values.values())
        for size in (1, 2, 4, 8) if packed else (4, 8):
            bits = 8 * size
            if low >= 0 and high < 1 << bits:
                return scalars.integer(self.abi, size, False)
            if -(1 << bits - 1) <= low < 0 and high < 1 << bits - 1:
                return scalars.integer(self.abi, size, True)
        raise refusal(brace, "begins an enum whose values no type can hold together")


def _names(declared: Declared) -> Iterator[str]:
    if declared.name:
        yield declared.name
    elif isinstance(declared.type, Record):
        for placed in declared.type.members:
            yield from _names(placed.declared)
