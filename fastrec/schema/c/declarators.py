"""Declarators: from the type that specifiers give to that of the name they declare."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastrec.schema.c.attributes import Attributed, Attributes
from fastrec.schema.c.cursor import fatal
from fastrec.schema.c.names import Named, Unusable, pointee_text
from fastrec.schema.c.scalars import pointer
from fastrec.schema.c.tokens import Token, refusal
from fastrec.schema.c.types import Array
from fastrec.schema.members import MAX_AXES

__all__ = ["Declarator", "Declarators"]

MAX_COUNT = 1 << 31
MAX_STARS = 64

_QUALIFIERS_TEXT = """
    const volatile restrict __const __const__ __volatile__ __volatile __restrict __restrict__ _Nonnull
    _Nullable _Null_unspecified CONST
"""
QUALIFIERS = frozenset(_QUALIFIERS_TEXT.split())
_CONVENTIONS_TEXT = """
    __cdecl _cdecl __stdcall _stdcall __fastcall _fastcall __thiscall __vectorcall __unaligned __w64
    __sptr __uptr WINAPI WINAPIV APIENTRY APIPRIVATE CALLBACK PASCAL CDECL STDMETHODCALLTYPE
    STDMETHODVCALLTYPE STDAPICALLTYPE NTAPI FAR NEAR IN OUT OPTIONAL RPC_ENTRY
"""
_CONVENTIONS = frozenset(_CONVENTIONS_TEXT.split())
_SAL = re.compile(
    r"_(?:In|Out|Inout|Outptr|Deref|Ret|Field|Struct|Check|Pre|Post|Null|Maybe|Must|Reserved|Use)\w*_"
)


@dataclass(frozen=True, slots=True)
class Declarator:
    """What one declarator declares; ``name`` is None where a type alone stands."""

    name: Token | None
    type: Named
    function: bool = False


class Declarators(Attributed):
    """Reads declarators."""

    def is_type(self, word: str) -> bool:
        """Whether a word names a type."""
        raise NotImplementedError

    def is_keyword(self, word: str) -> bool:
        """Whether a word can be no name."""
        raise NotImplementedError

    def pass_over(self, into: Attributes) -> bool:
        """Pass words and attributes that leave every layout as it is; whether there were some."""
        before = self.place
        while True:
            token = self.peek()
            if self.attributes(into):
                continue
            if token.kind != "word":
                break
            wide = {"__ptr32": 4, "__ptr64": 8}.get(token.text, self.abi.pointer)
            if wide != self.abi.pointer:
                raise refusal(token, f"is a pointer of {wide} bytes, which this ABI does not have")
            known = token.text in QUALIFIERS or token.text in ("__extension__", "__ptr32", "__ptr64")
            if not known and (token.text not in _CONVENTIONS or self.is_type(token.text)):
                if not _SAL.fullmatch(token.text):
                    break
                self.take()
                if self.at("("):
                    self.skip()
                continue
            self.take()
        return self.place != before

    def declarator(self, base: Named, into: Attributes) -> Declarator:
        """Read a declarator.

        Parameters
        ----------
        base : Named
            What the specifiers before it say.
        into : Attributes
            Takes what attributes within it ask for.

        Raises
        ------
        SchemaError
            An array of no possible size, or what is no declarator of C.
        """
        self.pass_over(into)
        stars = 0
        while self.at("*"):
            stars += 1
            if stars > MAX_STARS:
                raise fatal(self.peek(), f"is one pointer to a pointer more than {MAX_STARS}")
            self.take()
            base = pointer(self.abi, pointee_text(base))
            own = Attributes()
            self.pass_over(own)
            if own.layout and (own.packed or own.aligned < self.abi.pointer):
                raise refusal(own.layout, "is asked of a pointer's type; compilers differ in what it means")
            into.add(own)
        if self.at("&", "&&", "^"):
            raise refusal(
                self.peek(), "declares no C; references and blocks have no layout that is known here"
            )
        token = self.peek()
        inner = None
        if token.text == "(" and self._nested(self.peek(1)):
            self.take()
            inner = self.place
            self.back(inner - 1)
            self.skip()
        elif token.kind == "word" and not self.is_keyword(token.text):
            self.take()
        base, function = self._suffixes(base)
        if inner is None:
            return Declarator(
                token if token.kind == "word" and not self.is_keyword(token.text) else None, base, function
            )
        behind = self.place
        self.back(inner)
        found = self.declarator(base, into)
        self.expect(")", "behind a declarator")
        self.back(behind)
        return Declarator(found.name, found.type, found.function or (function and found.type is base))

    def _nested(self, token: Token) -> bool:
        if token.kind != "word":
            return token.text in ("*", "(", "^")
        if token.text in ("__attribute__", "__attribute") or token.text in _CONVENTIONS:
            return not self.is_type(token.text)
        return not self.is_keyword(token.text) and not self.is_type(token.text)

    def _suffixes(self, base: Named) -> tuple[Named, bool]:
        counts: list[int | None] = []
        while self.at("[") and self.peek(1).text != "[":
            token = self.take()
            if len(counts) == MAX_AXES:
                raise fatal(token, f"is one dimension more than {MAX_AXES}")
            for _ in iter(lambda: self.accept("const", "restrict", "static", "volatile"), None):
                pass
            counts.append(self._count())
        if self.at("("):
            self.skip()
            return Unusable("is a function, which has no layout; a pointer to it has"), True
        for place, count in reversed(list(enumerate(counts))):
            if count is None and place:
                raise refusal(self.peek(), "stands behind an array whose inner size is missing")
            base = Array(base, count)
        return base, False

    def _count(self) -> int | None:
        token = self.peek()
        if self.accept("]"):
            return None
        count = self.constant("the size of an array")
        self.expect("]", "behind the size of an array")
        if count == 0:
            raise refusal(
                token, "gives an array no elements; write [] if it is the last member and of any length"
            )
        if not 0 < count <= MAX_COUNT:
            raise refusal(token, f"gives an array {count} elements; 1 to {MAX_COUNT} are possible")
        return count
