"""What names mean while declarations are read: tags that may not be complete yet, types of no size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fastrec.errors import SchemaError
from fastrec.schema.abi import Abi
from fastrec.schema.c.tokens import Token, refusal
from fastrec.schema.c.types import Array, Record, Scalar, Type

__all__ = ["Aligned", "Character", "Named", "Tag", "Unusable", "pointee_text", "realigned"]


@dataclass(frozen=True, slots=True)
class Character(Scalar):
    """A wide character: a pointer to it says so; ``encoding`` as in `fastrec.schema.Field`."""

    encoding: str = ""


@dataclass(eq=False, slots=True)
class Tag:
    """A struct, union or enum that has been named; its meaning may come later.

    Attributes
    ----------
    keyword : str
        ``"struct"``, ``"union"`` or ``"enum"``.
    name : str
        ``""``: none.
    meaning : Record, Scalar or None
        None: not complete.
    error : SchemaError or None
        Why the definition has no meaning.
    token : Token or None
        Where it is defined.
    open : bool
        Its definition is being read.
    inside : bool
        Another struct contains it.
    aliases : list of str
        Typedefs of it.
    """

    keyword: str
    name: str
    meaning: Record | Scalar | None = None
    error: SchemaError | None = None
    token: Token | None = None
    open: bool = False
    inside: bool = False
    aliases: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.keyword} {self.name}" if self.name else f"this {self.keyword}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A type that no member can have: ``why`` is said of the place of use, or is another place's error."""

    why: str | SchemaError

    def refusal(self, token: Token) -> SchemaError:
        """The error at a place of use."""
        return self.why if isinstance(self.why, SchemaError) else refusal(token, self.why)


@dataclass(frozen=True, slots=True)
class Aligned:
    """A typedef that asks for an alignment of its own."""

    type: Named
    align: int


Named = Type | Tag | Unusable | Aligned


def realigned(abi: Abi, type_: Type, align: int) -> Type:
    """The type with the alignment that a typedef gave it."""
    if isinstance(type_, Array):
        return Array(realigned(abi, type_.element, align), type_.count)
    if abi.microsoft and isinstance(type_, Record):
        # Attributes only add there; packing lowers what the struct has by nature, not what was asked for.
        return replace(type_, align=max(align, type_.align), required=max(align, type_.inner))
    return replace(type_, align=align, required=align)


def pointee_text(type_: Named) -> bool | str:
    """What `Scalar.pointer` is for a pointer to this."""
    return type_.encoding if isinstance(type_, Character) else True
