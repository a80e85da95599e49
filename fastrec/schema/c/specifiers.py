"""Specifiers: the part of a declaration before the names, and the meaning of names of types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fastrec.errors import SchemaError, suggest
from fastrec.schema.abi import Abi
from fastrec.schema.c import scalars
from fastrec.schema.c.attributes import Attributes
from fastrec.schema.c.declarators import QUALIFIERS, Declarators
from fastrec.schema.c.known import is_microsofts
from fastrec.schema.c.names import Aligned, Named, Tag, Unusable, realigned
from fastrec.schema.c.numbers import Number
from fastrec.schema.c.tokens import Token, refusal
from fastrec.schema.c.types import Array, Record, Scalar, Type
from fastrec.schema.c.unread import Unread

__all__ = ["Known", "Specified", "Specifiers"]

_STORAGE_TEXT = """
    typedef extern static inline register auto _Thread_local __thread thread_local _Noreturn noreturn
    __inline __inline__ __forceinline constexpr
"""
_STORAGE = frozenset(_STORAGE_TEXT.split())
_MAX_HINTS = 64
"""How often near names are looked for, which takes a while."""
_TAGS = ("struct", "union", "enum")
_TYPEOF = ("typeof", "__typeof__", "__typeof", "typeof_unqual")
_STATEMENTS_TEXT = """
    break case continue default do else for goto if return sizeof switch while _Alignof _Generic
    _Static_assert __asm__ __attribute__ __declspec _Alignas __extension__ _Imaginary _Atomic
"""
_STATEMENTS = frozenset(_STATEMENTS_TEXT.split())
_KEYWORDS = scalars.WORDS | _STORAGE - {"noreturn", "thread_local", "constexpr"} | {*_TAGS} | _STATEMENTS | {
    word for word in QUALIFIERS if word != "CONST" and not word.startswith("_N")
} | {"__typeof__", "__typeof"}  # fmt: skip
_CPP_TEXT = """
    class template namespace public private protected virtual using operator friend mutable explicit
    typename decltype nullptr
"""
_CPP = frozenset(_CPP_TEXT.split())


@dataclass(frozen=True, slots=True)
class Specified:
    """The specifiers of one declaration: ``defines`` says that a struct, union or enum has its body there."""

    type: Named
    attributes: Attributes
    typedef: bool
    defines: bool


@dataclass(frozen=True, slots=True)
class Known:
    """Names that need no declaration."""

    typedefs: Mapping[str, Named]
    tags: Mapping[str, Tag]


class Specifiers(Declarators):
    """Reads specifiers.

    Attributes
    ----------
    typedefs : dict of str to Named
    tags : dict of str to Tag
    enumerators : dict of str to Number
    """

    def __init__(
        self, tokens: Iterator[Token], end: Token, abi: Abi, pack: int | None, unread: Unread
    ) -> None:
        super().__init__(tokens, end, abi, pack)
        self.typedefs: dict[str, Named] = {}
        self.tags: dict[str, Tag] = {}
        self.enumerators: dict[str, Number] = {}
        self.unread = unread
        self._hints = _MAX_HINTS

    @property
    def known(self) -> Known:
        """The names that need no declaration."""
        raise NotImplementedError

    def tagged(self, keyword: Token) -> tuple[Tag, bool]:
        """Read what stands behind ``struct``, ``union`` or ``enum``; whether it is a definition."""
        raise NotImplementedError

    def is_type(self, word: str) -> bool:
        return self.lookup(word) is not None

    def is_keyword(self, word: str) -> bool:
        return word in _KEYWORDS

    def lookup(self, word: str) -> Named | None:
        """The type of a typedef's name; None: it is none."""
        if word in self.typedefs:
            return self.typedefs[word]
        return None if word in self.enumerators else self.known.typedefs.get(word)

    def _type_named(self, token: Token) -> Named | None:
        found = self.lookup(token.text)
        if found is None or token.text in self.typedefs or self.abi.microsoft:
            return found
        files = self.unread.redeclared() if is_microsofts(token.text) else ""
        if files:
            why = f"is a type of Windows, which {files} may declare as another; it was not read"
            return Unusable(refusal(token, f"{why}: name its folder in include (-I)"))
        return found

    def begins_type(self, token: Token) -> bool:
        if token.kind != "word":
            return False
        word = token.text
        return word in scalars.WORDS or word in _TAGS or word in QUALIFIERS or word in _TYPEOF or (
            word in ("_Atomic", "__extension__") or self.is_type(word)
        )  # fmt: skip

    def unknown(self, token: Token) -> SchemaError:
        """The error of a word that names no type."""
        word = token.text
        if word in _CPP:
            return refusal(token, "is C++; declare plain C structs")
        if token.kind != "word":
            return refusal(token, "stands where a type is expected")
        known = [*self.typedefs, *scalars.WORDS, *self.known.typedefs]
        self._hints -= 1
        near = suggest(word, known) if self._hints >= 0 else ""
        near = near if near.startswith("; did") else ""
        tagged = f"; write '{self.tags[word].keyword} {word}'" if word in self.tags else near
        return refusal(token, f"is no type that is known here{tagged}{self.unread.hint()}")

    def specifiers(self, *, strict: bool) -> Specified:
        """Read specifiers.

        Parameters
        ----------
        strict : bool
            Refuse unknown names at once; else they become a type that no member can have.

        Raises
        ------
        SchemaError
            No type, or more than one.
        """
        found = Attributes()
        words: list[Token] = []
        type_: Named | None = None
        typedef = defines = atomic = False
        first = self.peek()
        while True:
            token = self.peek()
            word = token.text if token.kind == "word" else ""
            if self.pass_over(found):
                continue
            if word in scalars.WORDS and type_ is None:
                words.append(self.take())
            elif word in _STORAGE and word not in self.typedefs:
                typedef = typedef or word == "typedef"
                self.take()
            elif word == "_Atomic":
                self.take()
                atomic = True
                if self.at("("):
                    self.take()
                    type_ = self.type_name()
                    self.expect(")", "behind _Atomic")
            elif word in _TAGS and type_ is None and not words:
                type_, defines = self.tagged(self.take())
            elif word in _TYPEOF and type_ is None and not words and self.peek(1).text == "(":
                type_ = self._typeof()
            elif word and type_ is None and not words and not self.is_keyword(word):
                type_ = self._type_named(token)
                if type_ is None:
                    error = self.unknown(token)
                    if strict or self.peek(1).text == "(" or word in _CPP:
                        raise error
                    type_ = Unusable(error)
                self.take()
            else:
                break
        if words:
            type_ = self._of_words(words)
        if type_ is None:
            raise self.unknown(self.peek() if first.text not in _CPP else first)
        if isinstance(type_, Unusable) and self.at(*_TAGS):
            raise type_.refusal(self.peek())
        return Specified(self._atomic(type_, first) if atomic else type_, found, typedef, defines)

    def _of_words(self, words: list[Token]) -> Named:
        texts = [token.text for token in words]
        if texts == ["void"]:
            return Unusable("has the type void, which no value has")
        found = scalars.scalar(self.abi, texts)
        if found is None:
            raise refusal(words[-1], f"makes no type that is known here, in {' '.join(texts)!r:.80}")
        return found

    def _typeof(self) -> Named:
        self.take()
        self.take()
        if not self.begins_type(self.peek()):
            raise refusal(self.peek(), "is no type; typeof is understood of types alone")
        found = self.type_name()
        self.expect(")", "behind typeof")
        return found

    def _atomic(self, type_: Named, token: Token) -> Named:
        found = self.resolved(type_, token)
        if not isinstance(found, Scalar) or found.size not in (1, 2, 4, 8) or found.dtype.kind == "V":
            raise refusal(token, "is an atomic of a type that may have another size then")
        return replace(found, align=max(found.align, found.size))

    def type_name(self) -> Named:
        """Read a type without a name, as in ``sizeof(int *)``."""
        specified = self.specifiers(strict=True)
        found = self.declarator(specified.type, specified.attributes)
        specified.attributes.check()
        if found.name is not None:
            raise refusal(found.name, "stands where a type alone is expected")
        return found.type

    def resolved(self, type_: Named, token: Token, *, inside: bool = False) -> Type:
        """The type itself.

        Parameters
        ----------
        type_ : Named
        token : Token
            Where it is used by value.
        inside : bool
            As a member of a struct.

        Raises
        ------
        SchemaError
            It has no size: not complete, void, a function; or its own definition has an error.
        """
        if isinstance(type_, Array):
            return Array(self.resolved(type_.element, token, inside=inside), type_.count)
        if isinstance(type_, Aligned):
            return realigned(self.abi, self.resolved(type_.type, token, inside=inside), type_.align)
        if isinstance(type_, Unusable):
            raise type_.refusal(token)
        if not isinstance(type_, Tag):
            return type_
        if inside:
            type_.inside = True
        if type_.error:
            raise type_.error
        if type_.meaning is None:
            other = self.known.tags.get(type_.name)
            if other is not None and other.meaning is not None and other.keyword == type_.keyword:
                return other.meaning
            why = (
                "contains itself" if type_.open else "is not complete here; only pointers to it are possible"
            )
            raise refusal(token, f"is where {type_} is used by value, which {why}")
        return type_.meaning

    def named(self, token: Token) -> Number:
        if token.text in self.enumerators:
            return self.enumerators[token.text]
        if token.text in ("true", "false"):
            return Number(int(token.text == "true"))
        if token.text in (
            "sizeof",
            "_Alignof",
            "alignof",
            "__alignof__",
            "__alignof",
            "offsetof",
            "__builtin_offsetof",
        ):
            return self.measured(token)
        near = suggest(token.text, self.enumerators)
        near = near if near.startswith("; did") else ""
        raise refusal(token, f"is no constant that is known here{near}{self.unread.hint()}")

    def cast_type(self) -> tuple[int, bool]:
        token = self.peek()
        found = self.resolved(self.type_name(), token)
        if not isinstance(found, Scalar) or not found.integer:
            raise refusal(token, "is the type of a cast that gives no integer")
        if found.dtype.kind == "S":
            return 8, self.abi.signed_char
        return scalars.bits_of(found)

    def alignment_of_type(self) -> int:
        token = self.peek()
        return self.resolved(self.type_name(), token).align

    def measured(self, word: Token) -> Number:
        self.expect("(", f"behind {word.text!r}")
        token = self.peek()
        if not self.begins_type(token):
            if word.text != "sizeof":
                raise refusal(token, "stands where a type is expected")
            return self._of_value(token)
        found = self.resolved(self.type_name(), token)
        if word.text in ("offsetof", "__builtin_offsetof"):
            value = self._offset(found)
        elif word.text == "sizeof":
            value = found.size
        else:
            value = found.align
            gcc = word.text.startswith("__") and not self.abi.microsoft
            if gcc and isinstance(found, Scalar) and found.align == self.abi.align_8 < found.size == 8:
                value = 8  # the alignment outside of structs, which i386 has apart
        self.expect(")", f"behind {word.text!r}")
        return Number(value, 8 * self.abi.pointer, False)

    def _of_value(self, token: Token) -> Number:
        if token.kind == "string":
            raise refusal(token, "is a text; write its size as a number")
        if token.text == "(" and self.peek(1).text == "(":
            place = self.place
            self.take()
            self.take()
            if self.begins_type(self.peek()):
                return self._of_member()
            self.back(place)
        value = self.conditional("sizeof")
        self.expect(")", "behind sizeof")
        return Number(max(8, value.bits) // 8, 8 * self.abi.pointer, False)

    def _of_member(self) -> Number:
        """``sizeof(((struct foo *)0)->member)``, its two first brackets taken."""
        token = self.peek()
        base = self.specifiers(strict=True).type
        self.expect("*", "in sizeof")
        for mark in (")", "0", ")", "->"):
            if self.peek().text != mark:
                raise refusal(self.peek(), "is not understood in sizeof")
            self.take()
        found, _ = self._path(self.resolved(base, token))
        self.expect(")", "behind sizeof")
        return Number(found.size, 8 * self.abi.pointer, False)

    def _offset(self, found: Type) -> int:
        self.expect(",", "in offsetof")
        return self._path(found)[1]

    def _path(self, found: Type) -> tuple[Type, int]:
        at = 0
        first = True
        while first or self.at(".", "["):
            if not first and self.accept("["):
                if not isinstance(found, Array):
                    raise refusal(self.peek(), "is an index into what is no array")
                found = found.element
                at += self.constant("an index") * found.size
                self.expect("]", "behind an index")
                continue
            if not first:
                self.take()
            first = False
            token = self.take()
            place = _member(found, token.text) if isinstance(found, Record) else None
            if place is None:
                raise refusal(token, "is no member there that has an offset")
            found, offset = place
            at += offset
        return found, at


def _member(record: Record, name: str) -> tuple[Type, int] | None:
    for placed in record.members:
        declared = placed.declared
        if declared.name == name and declared.width is None:
            return declared.type, placed.at // 8
        if not declared.name and isinstance(declared.type, Record):
            below = _member(declared.type, name)
            if below:
                return below[0], placed.at // 8 + below[1]
    return None
