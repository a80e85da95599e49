"""Constant expressions have the values that gcc and clang give them."""

from __future__ import annotations

import re
import struct
import subprocess

import pytest
from compilers import COMPILERS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.abi import abi_named
from fastrec.schema.c.declarations import Declarations

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

COUNT = 1200
ENUM = "enum { TEN = 10, LESS = -7, MOST = 0x7fffffff, HIGH = 0x80000000u, WIDE = 0x100000000 };\n"
NAMES = ("TEN", "LESS", "MOST", "HIGH")
TYPES = ("char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long",
         "unsigned long", "long long", "unsigned long long", "_Bool", "size_t",
         "int8_t", "uint16_t")  # fmt: skip
BINARY = ("+", "-", "*", "/", "%", "&", "|", "^", "&&", "||", "==", "!=", "<", ">", "<=", ">=", ">>")
SUFFIXES = ("", "", "", "u", "L", "UL", "ll", "uLL", "LLU", "lu")
CHARACTERS = ("'a'", "'\\0'", "'\\xff'", "'\\377'", "'\\n'", "'\\\\'", "'\\''", "'ab'", "'abcd'", "L'x'",
              "u'\\xff'", "U'y'", "'\"'", "'\\x7f'")  # fmt: skip
EDGES = (0, 1, 2, 3, 7, 31, 32, 63, 64, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
         2**63 - 1)  # fmt: skip


@st.composite
def literals(draw: st.DrawFn) -> str:
    value = draw(st.sampled_from(EDGES) | st.integers(0, 2**63 - 1) | st.integers(0, 40))
    form = draw(st.sampled_from(("{}", "{}", "0x{:x}", "0X{:X}", "0{:o}", "0b{:b}")))
    return form.format(value) + draw(st.sampled_from(SUFFIXES))


def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(
        ["+", "-", "*", "/", "%", "&", "|", "^", "&&", "||", "==", "!=", "<", ">", "<=", ">=", ">>"]
    )
    return st.one_of(
        # Without brackets, so that precedence decides; the blanks keep "- -" from being "--".
        st.builds("{} {} {}".format, inner, binary, inner),
        st.builds("{} {} {}".format, inner, binary, inner),
        st.builds("({})".format, inner),
        st.builds("{} ({})".format, st.sampled_from("+-~!"), inner),
        st.builds("{} {}".format, st.sampled_from("+-~!"), inner),
        st.builds("({})({})".format, st.sampled_from(TYPES), inner),
        st.builds("({}){}".format, st.sampled_from(TYPES), inner),
        # What gcc says of a negative number or a sign bit that is shifted left depends on its options.
        st.builds(
            "(unsigned{})({}) << {}".format, st.sampled_from(("", " long")), inner, st.integers(-1, 70)
        ),
        st.builds("({}) ? {} : {}".format, inner, inner, inner),
        st.builds("{} ? {} : {}".format, inner, inner, inner),
        st.builds("sizeof(0 + ({}))".format, inner),
        st.builds("sizeof(0 ? 1 : ({}))".format, inner),
    )


EXPRESSIONS = st.recursive(
    literals()
    | st.sampled_from((*NAMES, *CHARACTERS))
    | st.sampled_from(TYPES).map("sizeof({})".format)
    | st.sampled_from(TYPES[:8]).map("_Alignof({})".format),
    wider,
    max_leaves=8,
)


@pytest.fixture(scope="module")
def drawn() -> list[str]:
    """The same expressions every time, no two alike."""
    found: dict[str, None] = {}

    @settings(
        max_examples=2 * COUNT,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(EXPRESSIONS)
    def collect(one: str) -> None:
        if len(found) < COUNT:
            found.setdefault(one)

    collect()
    return list(found)


def ours(expression: str, abi: str = "sysv-x64") -> tuple[int, int] | str:
    """Value modulo 2**64 and size of an expression, or why it has none."""
    # By halves, because Microsoft's enumerators are ints.
    whole = f"(unsigned long long)({expression})"
    text = (
        f"{ENUM}enum {{ LOW = {whole} & 0xffffffff, UP = {whole} >> 32, SIZE = sizeof(0 + ({expression})) }};"
    )
    known = Declarations(text, abi=abi_named(abi)).enumerators
    if "SIZE" in known:
        return known["LOW"].value % 2**32 | known["UP"].value % 2**32 << 32, known["SIZE"].value
    with pytest.raises(SchemaError) as refused:
        Declarations(f"{ENUM}struct s {{ int a[1 + !({expression})]; }};\n", abi=abi_named(abi)).record("s")
    return str(refused.value)


def theirs(expressions: list[str], abi: str = "sysv-x64") -> list[tuple[int, int] | str]:
    """The same of a compiler: what is no constant expression is told by its pedantic mode."""
    command = [*COMPILERS[abi], "-x", "c", "-std=gnu2x", "-ffreestanding"]
    head = "#include <stddef.h>\n#include <stdint.h>\n" + ENUM
    lines = [f"struct s{n} {{ int a[1 + !({one})]; }};" for n, one in enumerate(expressions)]
    # Clang has no word against shifts that go too far, nor against all sums that do.
    pedantic = ["-pedantic-errors", "-fmax-errors=0"] if command[0] == "gcc" else ["-ferror-limit=0", "-w"]
    strict = subprocess.run(
        [*command, *pedantic, "-fsyntax-only", "-"],
        input=head + '#line 1 "asked"\n' + "\n".join(lines),
        capture_output=True,
        text=True,
    ).stderr
    refused: dict[int, str] = {}
    for line, said in re.findall(r"^asked:(\d+):\d+: error: (.*)", strict, re.MULTILINE):
        refused.setdefault(int(line) - 1, said)
    good = [n for n in range(len(expressions)) if n not in refused]
    table = ", ".join(f"(unsigned long long)({expressions[n]}), sizeof(0 + ({expressions[n]}))" for n in good)
    made = subprocess.run(
        [*command, "-w", "-S", "-o", "-", "-"], input=f"{head}unsigned long long t[] = {{ {table} }};\n",
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[:2000]
    values = _words(made.stdout)
    assert len(values) == 2 * len(good)
    answers: list[tuple[int, int] | str] = [refused.get(n, "") for n in range(len(expressions))]
    for at, n in enumerate(good):
        answers[n] = (values[2 * at], values[2 * at + 1])
    return answers


def _words(assembly: str) -> list[int]:
    """The bytes of ``t``, as words of 8 bytes: 32-bit targets write two of 4."""
    raw = b""
    for kind, value in re.findall(r"^\s+\.(quad|xword|long|word|zero)\s+(-?\w+)", assembly, re.MULTILINE):
        number = int(value, 0)
        if kind == "zero":
            raw += bytes(number)
        else:
            size = 8 if kind in ("quad", "xword") else 4
            raw += (number % (1 << 8 * size)).to_bytes(size, "little")
    return [one for (one,) in struct.iter_unpack("<Q", raw)]


def differences(expressions: list[str], abi: str) -> list[str]:
    wrong = []
    clang = COMPILERS[abi][0] == "clang"
    for one, answer in zip(expressions, theirs(expressions, abi), strict=True):
        mine = ours(one, abi)
        if isinstance(mine, str) and (
            isinstance(answer, str) or (clang and re.search("shifts by|cannot hold", mine))
        ):
            continue
        if mine != answer:
            wrong.append(f"{one} is {mine}, not {answer}")
    return wrong


@pytest.mark.parametrize("abi", COMPILERS)
def test_values_and_sizes_are_those_of_the_compiler(drawn: list[str], abi: str) -> None:
    assert len(drawn) == COUNT
    some = drawn[:: 1 if COMPILERS[abi][0] == "gcc" else 3]
    wrong = differences(some, abi)
    assert not wrong, f"{len(wrong)} of {len(some)}\n" + "\n".join(sorted(wrong, key=len)[:10])


# What these are under long of 8 bytes and of 4, and where the drawn ones do not go.
WRITTEN = [
    "sizeof(long)", "sizeof(5L)", "0xffffffff", "0xffffffffL", "-1L < 0u", "4294967295", "-2147483648",
    "~0UL", "0x7fffffff + 1u", "-1 >> 1", "1u << 31", "(1 ? -1 : 1ULL / 0) < 0", "0 && 1 / 0", "1 || 1 / 0",
    "1 ? 2 : 1 / 0", "0 || (1 / 0)", "(_Bool)(1 / 0)", "!(1 / 0)", "(char)(1 / 0)", "(1 / 0) * 0",
    "(1 / 0) == 0", "-7 / 2", "-7 % 2", "7 % -2", "-7u / 2", "0x80000000 / -1", "-2147483647 - 1",
    "(-2147483647 - 1) / -1", "9223372036854775807 + 1", "0x7fffffffffffffff * 2u", "'\\xff'",
    "'\\377' == -1", "'\\x80'", "'ab'", "'\\xff\\xff'", "L'\\xff'", "L'x' - 300 < 0", "U'x' - 300 < 0",
    "u'x' - 300 < 0", "sizeof(L'x')", "sizeof('x')", "1 ? 0 ? 3 : 4 : 5", "0 ? 1 : 0 ? 2 : 3",
    "1 ? 2 : 3 ? 4 : 5", "1 + 2 * 3 << 1 | 4 ^ 5 & 6", "1 - 2 - 3", "100 / 10 / 5", "1 < 2 < 3",
    "3 > 2 > 1", "1 == 1 != 0", "- - 1", "-~!1", "sizeof(char) - 2 > 0", "(unsigned char)300",
    "(signed char)200", "(_Bool)256", "(_Bool)-1", "(short)0x18000", "(long)0x1ffffffff",
    "(int)(unsigned char)(short)-1", "sizeof(struct { char c; int i; })", "sizeof(int[3][2])",
    "sizeof(void *)", "_Alignof(long long)", "_Alignof(double)", "HIGH - 0x80000001 < 0", "sizeof(HIGH)",
    "sizeof(TEN)", "0777", "0b101", "1 / 2 ? 1 : 2", "offsetof(struct { char c; long l; }, l)", "(TEN)",
    "(TEN) + 1", "(int)+1", "(int)-1",
]  # fmt: skip


@pytest.mark.parametrize("abi", COMPILERS)
def test_written_ones_are_those_of_the_compiler(abi: str) -> None:
    wrong = differences(WRITTEN, abi)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("09", "is no integer constant"),
        ("0x", "is no integer constant"),
        ("1.5", "is no integer constant"),
        ("1e3", "is no integer constant"),
        ("1lul", "is no integer constant"),
        ("1Ll", "is no integer constant"),
        ("1uu", "is no integer constant"),
        ("0b2", "is no integer constant"),
        ("18446744073709551616", "does not fit 64 bits"),
        ("1" * 5000, "is no integer constant"),
        ("1 / 0", "divides by zero"),
        ("1 % 0", "divides by zero"),
        ("1 << 32", "shifts by 32 of 32 bits"),
        ("1 >> -1", "shifts by -1 of 32 bits"),
        ("2147483647 + 1", "gives a number that 32 bits cannot hold"),
        ("-(-2147483647 - 1)", "gives a number that 32 bits cannot hold"),
        ("65536 * 65536", "gives a number that 32 bits cannot hold"),
        ("(_Bool)(1 / 0)", "divides by zero"),
        ("'abcde'", "has more than four characters"),
        ("'\\q'", "has an escape that is not known here"),
        ("'é'", "is no character constant that is understood here"),
        ("'\\400'", "is no character constant that is understood here"),
        ("1 +", "stands where a number is expected"),
        ("()", "stands where a number is expected"),
        ("1 2", "stands where"),
        ("1 ? 2", "stands where ':' is expected"),
        ("1, 2", "stands where"),
        ("x", "is no constant that is known here"),
        ("(float)1", "is the type of a cast that gives no integer"),
        ("(" * 100 + "1" + ")" * 100, "is nested deeper than 64"),
        ("1 ? " * 100 + "1" + " : 1" * 100, "is nested deeper than 64"),
    ],
)
def test_what_has_no_value_is_refused(text: str, said: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(said)) as refused:
        Schema.from_c(f"struct s {{ int a[{text}]; }};")
    assert "line 1, column" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("abi", COMPILERS)
def test_a_sign_bit_is_shifted_as_compilers_do_by_default(abi: str) -> None:
    # In pedantic mode gcc refuses both; headers write them.
    assert ours("1 << 31", abi) == (2**64 - 2**31, 4)
    assert ours("-1 << 1", abi) == (2**64 - 2, 4)


@pytest.mark.parametrize("abi", COMPILERS)
def test_a_long_chain_is_no_deep_one(abi: str) -> None:
    text = "struct s { char a[" + "1 + " * 5000 + "1]; char b[" + "0 ? 7 : " * 50 + "2]; };"
    assert Schema.from_c(text, abi=abi).size == 5003


@pytest.mark.parametrize("abi", ["msvc-x64", "msvc-x86"])
def test_suffixes_of_microsoft_give_the_width(abi: str) -> None:
    written = [
        "1i8",
        "1ui8 - 2 < 0",
        "1i16",
        "65535ui16",
        "1i32",
        "5ui32 - 6 > 0",
        "1i64",
        "0xffffffffffffffffui64",
    ]
    wrong = differences([*written, "sizeof(1i64)", "sizeof(1i8)", "sizeof(1ui16)", "sizeof(1i32)"], abi)
    assert not wrong, "\n".join(wrong)
