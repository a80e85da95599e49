"""Specifiers: the part of a declaration before the names, and the meaning of names of types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fastrec.errors import SchemaError, suggest
from fastrec.schema.abi import Abi
from fastrec.schema.c import scalars
from fastrec.schema.c.attributes import Attributes
from fastrec.schema.c.declarators import QUALIFIERS, Declarators
from fastrec.schema.c.known import WINDOWS, owner_of
from fastrec.schema.c.names import Aligned, Named, Tag, Unusable, realigned
from fastrec.schema.c.numbers import Number
from fastrec.schema.c.tokens import Token, refusal
from fastrec.schema.c.types import Array, Scalar, Type
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
    unsure : mapping of str to str
        Names that may have been declared where nobody knows whether it counts: why.
    """

    def __init__(
        self,
        tokens: Iterator[Token],
        end: Token,
        abi: Abi,
        pack: int | None,
        unread: Unread,
        unsure: Mapping[str, str],
    ) -> None:
        super().__init__(tokens, end, abi, pack)
        self.typedefs: dict[str, Named] = {}
        self.tags: dict[str, Tag] = {}
        self.enumerators: dict[str, Number] = {}
        self.unread = unread
        self.unsure = unsure
        self._hints = _MAX_HINTS

    @property
    def known(self) -> Known:
        """The names that need no declaration."""
        raise NotImplementedError

    def tagged(self, keyword: Token, *, variable: bool) -> tuple[Tag, bool]:
        """Read what stands behind ``struct``, ``union`` or ``enum``; whether it is a definition.

        Behind the body of a `variable` stands a name, or what only looks like one.
        """
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
        if found is None or token.text in self.typedefs:
            return found
        return self._otherwise(token) or found

    def _otherwise(self, token: Token) -> Unusable | None:
        """Why a name that is known here may mean something else in this text."""
        if token.text in self.unsure:
            return Unusable(SchemaError(self.unsure[token.text]))
        owner = owner_of(token.text)
        if owner is None or (owner is WINDOWS and self.abi.microsoft) or self.unread.has(*owner.headers):
            return None
        files = self.unread.foreign()
        if not files:
            return None
        why = (
            f"is a type of {owner.who}, which {files} may declare as another and was not read: name its"
            f" folder in include (-I), or say what it is (-D {token.text}=int)"
        )
        return Unusable(refusal(token, why))

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
        near = self._near(word, lambda: [*self.typedefs, *scalars.WORDS, *self.known.typedefs])
        hint = self.unread.hint()
        if hint and word.isupper():
            hint += f", or define it (-D {word}=)"
        tagged = f"; write '{self.tags[word].keyword} {word}'" if word in self.tags else near
        return refusal(token, f"is no type that is known here{tagged}{hint}")

    def _near(self, word: str, known: Callable[[], Iterable[str]]) -> str:
        self._hints -= 1
        near = suggest(word, known()) if self._hints >= 0 else ""
        return near if near.startswith("; did") else ""

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
                type_, defines = self.tagged(self.take(), variable=not strict and not typedef)
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
                unknown = self._otherwise(token._replace(text=type_.name))
                if unknown:
                    raise unknown.refusal(token)
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
        near = self._near(token.text, lambda: self.enumerators)
        raise refusal(token, f"is no constant that is known here{near}{self.unread.hint()}")

    def cast_type(self) -> tuple[int, bool]:
        token = self.peek()
        found = self.resolved(self.type_name(), token)
        if not isinstance(found, Scalar) or not found.integer:
            raise refusal(token, "is the type of a cast that gives no integer")
        if found.dtype.kind == "S":
            return 8, self.abi.signed_char
        return scalars.bits_of(found)
