"""Declarations: their layout against gcc, what they mean, and what is refused where."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from schema.c.gcc import compiled, paths

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.abi import ABIS
from fastrec.schema.c.declarations import Declarations

EVERYTHING = """
typedef unsigned char u1_; typedef unsigned short u2_; typedef int matrix[2][3];
typedef long long loose __attribute__((aligned(4)));
typedef int wide_ __attribute__((__mode__(__DI__)));
enum small { S_A, S_B } __attribute__((packed));
enum negative { N_A = -1, N_B = 1 }; enum large { L_A = 1ull << 40 };
struct forward; typedef struct forward forward_t;
struct words { long unsigned int long a; short int unsigned b; signed char c; char d; long double e;
    _Bool f; float _Complex g; double _Complex h; __int128 i; _Float128 j; unsigned k; long l; };
struct derived { char a; matrix b; forward_t *c; int (*d)(int, char *); void (*e[3])(void);
    int *(*(*f)(int))[4]; struct forward **g; int (*h)[5]; char odd; loose i; wide_ j; char k[2][3][4]; };
struct forward { struct derived x; u1_ y; };
struct enums { enum small a; enum negative b; enum large c; enum { LOCAL = N_B + 4 } d; int e[LOCAL]; };
struct bits { unsigned a : 3, b : 7; int : 0; short c : 5; long d : 40; _Bool e : 1; char f : 2;
    enum small g : 2; unsigned : 9; unsigned h : sizeof(int) * 2; };
struct anonymous { int a; union { struct { char b; int c; }; double d; }; struct { int e; } f[2]; };
struct __attribute__((packed)) packed_before { char a; int b; double c; };
struct packed_behind { char a; int b : 9; double c; } __attribute__((packed, aligned(4)));
struct packed_member { char a; int b __attribute__((packed)); long c; };
struct aligned_ { char a; _Alignas(16) char b; char c __attribute__((aligned(8))); _Alignas(double) char d; };
#pragma pack(push, 2)
struct pushed { char a; long b; struct { char c; int d; } e; };
#pragma pack(push, inner, 1)
struct pushed_again { char a; long b; };
#pragma pack(pop, inner)
struct popped { char a; long b; };
#pragma pack()
struct reset { char a; long b; };
#pragma pack(pop)
_Pragma("pack(4)") struct by_operator { char a; long b; };
#pragma pack()
union either { int a; char b[7]; double c; struct bits d; };
struct flexible { int a; char b[]; };
struct nothing_ {};
struct has_nothing { struct nothing_ a; int b; };
__extension__ typedef struct { const volatile int a; int b, *c, d[2]; } unnamed;
struct of_typeof { char a; __typeof__(unnamed) b; typeof(int *) c; };
static inline int f(int x) { struct inner { int a; } y = { x }; return y.a; }
extern int g(struct words *, ...) __attribute__((noreturn, nonnull(1)));
int object = 5, *pointed = &object, list[] = { 1, 2, 3 };
_Static_assert(sizeof(struct reset) == 16 && __builtin_offsetof(struct forward, x.k[1][2]) == 138, "no");
_Static_assert(sizeof(((struct reset *)0)->b) == 8, "no");
struct gcc_last { char a; u2_ b; [[maybe_unused]] int c; };
"""


def test_everything_lies_as_gcc_has_it(tmp_path: Path) -> None:
    text = EVERYTHING.replace("== 138", "== OFFSET")
    offset = _offset(text.split("_Static_assert")[0], tmp_path)
    text = text.replace("OFFSET", str(offset))
    read = Declarations(text, abi=ABIS["sysv-x64"])
    called = {name: f"{read.tags[name].keyword} {name}" if name in read.tags else name for name in read.names}
    records = {called[name]: read.record(name) for name in read.names}
    assert len(records) == 22
    said = compiled(text, records, tmp_path)
    assert not isinstance(said, str), said
    for name, record in records.items():
        ours = {path: (at, width) for path, at, width in paths(record)}
        assert (name, *said[name]) == (name, record.size, ours)
    with pytest.raises(SchemaError, match="line 41, column 1: '_Static_assert' fails"):
        Declarations(EVERYTHING.replace("== 138", "== 1"), abi=ABIS["sysv-x64"])


def _offset(text: str, folder: Path) -> int:
    record = Declarations(text, abi=ABIS["sysv-x64"]).record("forward")
    said = compiled(text, {"struct forward": record}, folder)
    assert not isinstance(said, str), said
    k = next(p.at for p in record.members[0].declared.type.members if p.declared.name == "k")
    return said["struct forward"][1]["x"][0] // 8 + k // 8 + 20


STATUS = """
typedef enum { IDLE, RUN = 5, FAULT } state_t;
typedef struct tagStatus {
    DWORD size; state_t state; HRESULT hr; LPWSTR url; LONG progress; ULONGLONG total; char text[16];
} STATUS, *PSTATUS;
"""


@pytest.mark.parametrize(
    ("abi", "size"), [("msvc-x64", 56), ("msvc-x86", 48), ("sysv-x64", 56), ("sysv-x86", 44)]
)
def test_one_text_has_the_layout_of_each_abi(abi: str, size: int) -> None:
    schema = Schema.from_c(STATUS, abi=abi)
    assert (schema.name, schema.size, schema.abi, schema.byteorder) == ("tagStatus", size, abi, "little")
    fields = {field.name: field for field in schema.fields}
    assert fields["state"].labels.enumerators == (("IDLE", 0), ("RUN", 5), ("FAULT", 6))
    assert fields["state"].dtype.str == ("<i4" if abi.startswith("msvc") else "<u4")
    assert fields["url"].pointer == "utf-16"
    assert fields["text"].dtype == np.dtype("S16")
    assert schema == Schema.from_c(STATUS, "STATUS", abi) == Schema.from_c(STATUS, "struct tagStatus", abi)


def test_the_struct_that_no_other_contains_is_the_one() -> None:
    inner = "struct in { int x; }; typedef struct in in_t; struct out { in_t a[2]; struct out *next; };"
    assert Schema.from_c(inner).name == "out"
    assert Schema.from_c(inner, "in_t").name == "in_t"
    with pytest.raises(SchemaError, match="defines 'a', 'b'; name the one"):
        Schema.from_c("struct a { int x; }; struct b { struct a *x; };")
    with pytest.raises(SchemaError, match="no struct is called 'motr'; did you mean 'motor'"):
        Schema.from_c("struct motor { int x; };", "motr")
    with pytest.raises(SchemaError, match="'e' is no struct"):
        Schema.from_c("enum e { A }; struct motor { int x; };", "e")
    marked = '# 1 "my.h"\n# 1 "/usr/sys.h" 1\nstruct sys { int x; };\n# 2 "my.h" 2\nstruct mine { int x; };\n'
    assert Schema.from_c(marked).name == "mine"


def test_an_error_of_one_struct_is_not_that_of_another() -> None:
    text = (
        "struct bad { foo_t x; struct { int y; } z; }; struct good { int x; }; FILE *f(FILE *); extern t q;"
    )
    assert Schema.from_c(text, "good").size == 4
    with pytest.raises(SchemaError, match="column 14: 'foo_t' is no type"):
        Schema.from_c(text, "bad")
    with pytest.raises(SchemaError, match="column 14: 'foo_t' is no type"):
        Schema.from_c(text + "struct worse { struct bad x; };", "worse")


def test_what_has_no_bytes_is_no_field() -> None:
    text = "struct s { int n; union { int x; struct { struct {} empty; int all[]; }; }; char rest[]; };"
    assert [field.name for field in Schema.from_c(text, abi="sysv-x64").fields] == ["n", "x"]


def test_microsoft_s_anonymous_structs_and_enums() -> None:
    text = "struct in { int a; }; enum e { X = 0xffffffff }; struct out { struct in; enum e b; };"
    assert [field.name for field in Schema.from_c(text, "out", "msvc-x64").fields] == ["a", "b"]
    assert Schema.from_c(text, "out", "msvc-x64").fields[1].labels.enumerators == (("X", -1),)
    with pytest.raises(SchemaError, match="without a member"):
        Schema.from_c(text, "out", "sysv-x64")


REFUSED = {
    "struct a { int x;": "line 1, column 10: '{' is never closed",
    "struct a { int x }; ": "column 18: '}' stands where ';' is expected",
    "struct a { foo_t x; };": "column 12: 'foo_t' is no type that is known here",
    "struct a { DWORDD x; };": "did you mean 'DWORD'",
    "typedef struct b {int x;} c; struct a { c x; b y; };": "write 'struct b'",
    "struct a { struct a x; };": "contains itself",
    "struct a { struct b x; };": "not complete here",
    "struct a { void x; };": "void",
    "struct a { int x; int x; };": "second member named 'x'",
    "struct a { int x; struct { char x; }; };": "second member named 'x'",
    "struct a { int x; }; struct a { int x; };": "defined twice",
    "struct a { int x; }; struct c { union a b; struct a d; };": "said to be a union, but is a struct",
    "enum e { A, A }; struct a { enum e x; };": "'A' is declared twice",
    "typedef int t; typedef long t; struct a { t x; };": "different types",
    "struct a { int x[0]; };": "no elements",
    "struct a { int x[-1]; };": "-1 elements",
    "struct a { int x[N]; };": "'N' is no constant",
    "struct a { int x[2][]; };": "inner size",
    "struct a { int x[]; int y; };": "only the last member",
    "struct a { int x[]; };": "only member",
    "struct a {};": "0 bytes",
    "enum e {}; struct a { enum e x; };": "without enumerators",
    "struct a { enum e x; };": "not complete",
    "struct a { int x : 33; };": "33 bits",
    "struct a { int x : 0; };": "0 bits",
    "struct a { int x : -1; };": "-1 bits",
    "struct a { float x : 3; };": "no integer",
    "struct a { int f(void); };": "function",
    "struct a { unsigned float x; };": "makes no type",
    "struct a { int; };": "without a member",
    "struct a { typedef int x; };": "typedef",
    "struct a { struct c { int y[3]; } _Atomic z; };": "atomic",
    "struct __attribute__((ms_struct)) a { int x; };": "'ms_struct' is an attribute that may change",
    "struct a { int x __attribute__((vector_size(16))); };": "vector_size",
    "struct a { int x __attribute__((aligned(3))); };": "alignment of 3",
    "struct a { int __ptr32 *x; };": "4 bytes",
    "struct a { TCHAR x; };": "'TCHAR' is no type",
    "class a { int x; };": "C++",
    "template <class T> struct a { T x; };": "C++",
    "namespace n { struct a { int x; }; }": "C++",
    "struct a { int &x; };": "references",
    "struct a : b { int x; };": "C++",
    "struct a { public: int x; };": "C++",
    "UNKNOWN(1) struct a { int x; };": "'UNKNOWN' is no type",
    "UNKNOWN struct a { int x; };": "'UNKNOWN' is no type",
    'struct a { int x; }; _Static_assert(sizeof(struct a) == 5, "five");': "five",
    'extern "C" { struct a { int x; };': "expected",
    "struct a { int x; } }": "'}'",
    "": "defines no struct",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_refused_by_place_and_name(text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.from_c(text, abi="sysv-x64")
    assert REFUSED[text] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", [3, 0, True, "1", 32])
def test_a_packing_that_is_none_is_refused(pack: object) -> None:
    with pytest.raises(SchemaError, match="pack="):
        Schema.from_c("struct a { int x; };", pack=pack)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("typedef struct t T __attribute__((aligned(1))); struct t { int a; }; struct s { char c; T x; };",
         "'T' aligns struct t, which is not complete here"),
        ("struct s { char c; __attribute__((packed)) struct { int a; }; };",
         "stands before a struct without a name"),
        ("struct __attribute__((aligned(16))) s { int a; } __attribute__((aligned(4)));",
         "a second alignment"),
        ("typedef int T __attribute__((aligned(16), aligned(4))); struct s { T a; };", "a second alignment"),
        ("struct s { char c; void * __attribute__((aligned(2))) p; };", "asked of a pointer's type"),
        ("struct s { int a; } [[gnu::aligned(16)]];", "known in __attribute__ alone"),
        ("struct s { int a[2] [[gnu::packed]]; };", "known in __attribute__ alone"),
    ],
)  # fmt: skip
def test_what_gcc_and_clang_read_differently_is_refused(text: str, message: str) -> None:
    """Each has another layout under gcc 12 than under clang 14."""
    with pytest.raises(SchemaError, match=message):
        Schema.from_c(text, "s", "sysv-x64")


@pytest.mark.parametrize(
    "text",
    [
        "struct t { int a; }; typedef struct t t_t __attribute__((aligned(8))); struct s { char c; t_t x; };",
        "struct s { char c; struct { int a; } __attribute__((packed)); char d; };",
        "struct s { char c; _Alignas(16) struct { int a; }; char d; };",
        "struct s { char a; int b __attribute__((aligned(16), aligned(4))); };",
        "struct s { char c; void * __attribute__((aligned(16))) p; };",
        "struct __attribute__((packed)) s { char c; int a; } __attribute__((aligned(2)));",
        "struct s { char a[__alignof__(double[2])]; };",
        "struct s { char c; [[maybe_unused]] int a; };",
    ],
)
@pytest.mark.parametrize("abi", ["sysv-x64", "sysv-x86"])
def test_attributes_lie_as_gcc_has_them(text: str, abi: str) -> None:
    words = [
        "gcc",
        "-std=gnu2x",
        "-w",
        "-m64" if abi == "sysv-x64" else "-m32",
        "-ffreestanding",
        "-S",
        "-o-",
        "-xc",
        "-",
    ]
    asked = f"{text}\nint size = sizeof(struct s);"
    made = subprocess.run(words, input=asked, capture_output=True, text=True, check=True)
    assert f"size:\n\t.long\t{Schema.from_c(text, 's', abi).size}\n" in made.stdout


@pytest.mark.parametrize("abi", ["msvc-x64", "msvc-x86"])
def test_packing_reaches_the_large_integers_of_windows(abi: str) -> None:
    text = (
        "#include <windows.h>\n#pragma pack(push, 1)\nstruct s { unsigned short n; LARGE_INTEGER t; CY c; };"
    )
    assert [
        one.offset for one in Schema.from_c(text, abi=abi).fields if one.name in ("t.QuadPart", "c.int64")
    ] == [2, 10]
    loose = Schema.from_c(text.replace("push, 1", "push, 8"), abi=abi)
    assert [one.offset for one in loose.fields if one.name == "t.QuadPart"] == [8]
