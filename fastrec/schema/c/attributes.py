"""Attributes in all their spellings: those that change a layout, those that cannot, and the rest refused."""

from __future__ import annotations

from dataclasses import dataclass

from fastrec.errors import SchemaError
from fastrec.schema.c.constants import Constants
from fastrec.schema.c.tokens import Token, refusal

__all__ = ["ALIGNAS", "MAX_ALIGN", "Attributed", "Attributes", "understood"]

MAX_ALIGN = 8192
ALIGNAS = ("_Alignas", "alignas")
_SPELLED = ("__attribute__", "__attribute", "__declspec", "_declspec", *ALIGNAS)
_ASM = ("asm", "__asm__", "__asm")

_HARMLESS_TEXT = """
    _Noreturn access alias alloc_align alloc_size alloca_size always_inline artificial assume_aligned
    availability btf_decl_tag btf_type_tag cdecl cleanup cold common const constructor copy counted_by
    counted_by_or_null deprecated designated_init destructor diagnose_as_builtin diagnose_if dllexport
    dllimport element_count enable_if enum_extensibility error externally_visible fallthrough fastcall
    fd_arg fd_arg_read fd_arg_write flag_enum flatten force force_align_arg_pointer format format_arg
    gnu_inline guard hot ifunc internal_linkage leaf malloc may_alias maybe_unused ms_abi naked no_icf
    no_instrument_function no_profile_instrument_function no_reorder no_sanitize no_sanitize_address
    no_split_stack no_stack_protector no_warn_deprecated noalias nocf_check noclone nocommon nodiscard
    noinit noinline noipa nonnull nonstring noplt noreturn nothrow novtable null_terminated_string_arg
    nullable objc_root_class optimize overloadable pass_object_size patchable_function_entry persistent
    pure regparm reproducible restrict retain returns_nonnull returns_twice safebuffers section
    selectany sentinel simd sized_by stack_protect stdcall strict_gs_check symver sysv_abi tainted_args
    target target_clones thiscall thread tls_model transparent_union type_visibility unavailable
    unsequenced unused used uuid vectorcall visibility warn_unused warn_unused_result warning weak
    weakref zero_call_used_regs
"""
_HARMLESS = frozenset(_HARMLESS_TEXT.split())
"""Attributes that leave every layout as it is."""

_MODES = {"QI": 1, "byte": 1, "HI": 2, "SI": 4, "DI": 8, "SF": 4, "DF": 8}


def _plain(name: str) -> str:
    return name[2:-2] if len(name) > 4 and name.startswith("__") and name.endswith("__") else name


def understood(name: str) -> bool:
    """Whether an attribute of gcc is one whose meaning for a layout is known here."""
    return _plain(name) in {"packed", "aligned", "mode", *_HARMLESS}


@dataclass(slots=True)
class Attributes:
    """What the attributes of one declaration ask for together.

    Attributes
    ----------
    packed : bool
    aligned : int
        The largest alignment; 0: none.
    mode : int or None
        Bytes that ``mode(DI)`` and the like give an integer or a float.
    error : SchemaError or None
        There is one that is not understood.
    layout : Token or None
        One of those by which ``__attribute__`` and ``__declspec`` change a layout.
    twice : Token or None
        One that asks for another alignment than one before it.
    """

    packed: bool = False
    aligned: int = 0
    mode: int | None = None
    error: SchemaError | None = None
    layout: Token | None = None
    twice: Token | None = None

    def check(self) -> None:
        """Raise the error, if any."""
        if self.error:
            raise self.error

    def wrong(self) -> SchemaError | None:
        """The error of attributes of a type: of two alignments compilers take different ones."""
        if self.twice and not self.error:
            return refusal(self.twice, "asks for a second alignment; compilers differ in which one counts")
        return self.error

    def add(self, other: Attributes) -> None:
        """Take over what others ask for."""
        self.packed |= other.packed
        self.aligned = max(self.aligned, other.aligned)
        self.mode = self.mode or other.mode
        self.error = self.error or other.error
        self.layout = self.layout or other.layout
        self.twice = self.twice or other.twice


class Attributed(Constants):
    """Reads attributes."""

    def alignment_of_type(self) -> int:
        """Read the type in ``_Alignas(type)``."""
        raise NotImplementedError

    def attributes(self, into: Attributes) -> bool:
        """Read the attributes that stand here, if any; whether there were some."""
        before = self.place
        while True:
            token = self.peek()
            if token.kind == "word" and token.text in _SPELLED:
                self._spelled(self.take(), into)
            elif token.text == "[" and self.peek(1).text == "[" and token.kind == "mark":
                self.take()
                self.take()
                own = Attributes()
                self._list(own, "]")
                self.expect("]", "behind attributes")
                if own.layout:
                    raise refusal(own.layout, "is known in __attribute__ alone; of [[...]] compilers differ")
                into.add(own)
            elif token.kind == "word" and token.text in _ASM and self.peek(1).text == "(":
                self.take()
                self.skip()
            else:
                return self.place != before

    def _spelled(self, word: Token, into: Attributes) -> None:
        self.expect("(", f"behind {word.text!r}")
        if word.text in ALIGNAS:
            if self.begins_type(self.peek()):
                align = self.alignment_of_type()
            else:
                align = self._align(self.peek(), into, zero=True)
            into.aligned = max(into.aligned, align)
        elif word.text.endswith("declspec"):
            self._list(into, ")")
            return
        else:
            self.expect("(", f"behind {word.text!r}")
            self._list(into, ")")
        self.expect(")", "behind attributes")

    def _list(self, into: Attributes, close: str) -> None:
        while not self.at(close):
            token = self.take()
            if token.text == "," and token.kind == "mark":
                continue
            if token.kind != "word":
                raise refusal(token, "is no attribute")
            if self.accept("::"):
                token = self.take()
            elif self.at(":") and self.peek(1).text == ":":
                self.take()
                self.take()
                token = self.take()
            self._one(token, into)
        self.take()

    def _one(self, token: Token, into: Attributes) -> None:
        name = _plain(token.text)
        if name in ("packed", "aligned", "align", "mode"):
            into.layout = token
        if name == "packed":
            into.packed = True
        elif name in ("aligned", "align"):
            align = 16
            if self.accept("("):
                align = self._align(token, into)
                self.expect(")", f"behind {name!r}")
            into.twice = token if into.aligned not in (0, align) else into.twice
            into.aligned = max(into.aligned, align)
            return
        elif name == "mode" and self.at("("):
            self._mode(into)
            return
        elif name == "warn_if_not_aligned" or name not in _HARMLESS:
            error = refusal(token, "is an attribute that may change the layout; it is not understood here")
            into.error = into.error or error
        if self.at("("):
            self.skip()

    def _align(self, token: Token, into: Attributes, *, zero: bool = False) -> int:
        align = self.constant("an alignment")
        if zero and not align:
            return 0
        if not 0 < align <= MAX_ALIGN or align & (align - 1):
            raise refusal(
                token, f"asks for an alignment of {align}; powers of two up to {MAX_ALIGN} are possible"
            )
        return align

    def _mode(self, into: Attributes) -> None:
        self.take()
        token = self.take()
        name = token.text.strip("_")
        if name in ("word", "pointer", "unwind_word"):
            into.mode = self.abi.pointer
        elif name in _MODES:
            into.mode = _MODES[name]
        else:
            into.error = into.error or refusal(token, "is a mode that is not understood here")
        self.expect(")", "behind a mode")
