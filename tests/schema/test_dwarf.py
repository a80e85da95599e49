"""Schemas of debug information, against C text and against what the compiled programs themselves print."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from compilers import HEAD
from elftools.elf.elffile import ELFFile
from structs import Struct, some

from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, Enumeration, Schema
from fastrec.schema.dwarf import entries
from fastrec.schema.members import MAX_FIELDS

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

TYPES = """
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t;
typedef unsigned short uint16_t; typedef int int32_t; typedef unsigned uint32_t;
typedef int HRESULT; typedef uint16_t __be16; typedef uint32_t __be32;
"""
TEXT = (
    TYPES
    + """
enum mode { OFF, ON = 5, ALSO = 5, ERR = -1 };
enum word { ZERO, BIG = 0xffffffff };
enum tiny { T0, T200 = 200 } __attribute__((packed));
struct inner { uint8_t a : 3; uint8_t b : 7; } __attribute__((packed));
typedef struct inner inner_t;
typedef struct status {
    HRESULT hr; HRESULT codes[2]; __be32 address; __be16 port;
    const volatile uint16_t cv; enum mode mode; enum word word; enum tiny tiny;
    char name[12]; char grid[3][4]; signed char sc; unsigned char uc; _Bool on;
    float f; double d; long double ld; long l; unsigned long long ull;
    int (*call)(int); struct status *next; const char *text; const void *v[3];
    unsigned x : 3; int y : 29; long long z : 40; _Bool flag : 1; unsigned : 0; enum mode m : 4; char c : 5;
    __be32 be : 6;
    union { int i; double real; struct { unsigned lo : 4; unsigned hi : 28; }; };
    struct { int px, py; } points[2][3];
    inner_t in;
    int matrix[2][3][4];
    int rest[];
} status_t;
union either { int i; float f; unsigned low : 7; };
struct holder { status_t *known; struct unknown *pointer; union either e; } holder;
status_t made;
int main(void) { return 0; }
"""
)
TEXT_CXX = TEXT.replace("_Bool", "bool").replace(
    "status_t made;", "int used(status_t *status) { return status->hr; }"
)

COMPILERS = [
    "gcc -gdwarf-5",
    "gcc -gdwarf-4",
    "gcc -gdwarf-4 -gstrict-dwarf",
    "gcc -gdwarf-3 -gstrict-dwarf",
    "gcc -gdwarf-2 -gstrict-dwarf",
    "gcc -gdwarf-5 -gdwarf64",
    "gcc -gdwarf-5 -gz",
    "gcc -m32 -ffreestanding -gdwarf-5",
    "gcc -m32 -ffreestanding -gdwarf-4",
    "clang -gdwarf-5",
    "clang -gdwarf-4",
    "clang --target=i686-linux-gnu -gdwarf-5",
    "clang --target=aarch64-linux-gnu -gdwarf-5",
    "clang --target=aarch64-linux-gnu -gdwarf-4",
]


def compiled(folder: Path, command: str, text: str, suffix: str = "c", link: bool = False) -> Path:
    source, made = folder / f"source.{suffix}", folder / ("program" if link else "object.o")
    source.write_text(text)
    stage = [] if link else ["-c"]
    subprocess.run([*command.split(), "-w", *stage, "-o", made, source], check=True, timeout=120)
    return made


def assert_same(one: Schema, other: Schema) -> None:
    for mine, theirs in zip(one.fields, other.fields, strict=True):
        for key in ("name", "dtype", "offset", "shape", "bits", "labels", "pointer"):
            assert getattr(mine, key) == getattr(theirs, key), (mine.name, key)
    assert one == other


@pytest.mark.parametrize("command", COMPILERS)
def test_an_object_file_says_what_the_c_text_says(command: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, command, TEXT)
    for name in ("status_t", "struct status", "inner_t", "union either", "holder"):
        schema = Schema.from_dwarf(path, name)
        assert schema.name == name.split()[-1]
        assert schema.abi == (
            "sysv-x86" if "-m32" in command or "i686" in command else
            "aarch64" if "aarch64" in command else "sysv-x64"
        )  # fmt: skip
        assert_same(schema, Schema.from_c(TEXT, schema.name, abi=schema.abi))


@pytest.mark.parametrize(
    "command", ["g++ -gdwarf-5", "g++ -gdwarf-4", "clang++ -gdwarf-5", "clang++ -gdwarf-4"]
)
def test_a_cxx_program_says_what_the_c_text_says(command: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, command, TEXT_CXX, "cc", link=True)
    assert_same(Schema.from_dwarf(path, "status_t"), Schema.from_c(TEXT, "status_t"))


def test_what_names_say(tmp_path: Path) -> None:
    schema = Schema.from_dwarf(
        compiled(tmp_path, "gcc -g", TEXT),
        "status_t",
        units={"f": "V"},
        labels={"l": {"ONE": 1}},
        text=["text"],
    )
    assert schema.field("hr").labels is HRESULT
    assert schema.field("address").dtype == np.dtype(">u4")
    assert schema.field("mode").labels == Enumeration({"OFF": 0, "ON": 5, "ALSO": 5, "ERR": -1})
    assert (schema.field("f").unit, schema.field("l").labels.name(1)) == ("V", "ONE")
    assert [field.name for field in schema.texts] == ["text"]


@pytest.fixture(scope="module")
def many() -> list[Struct]:
    """Structs of every kind; not those whose end has no size, which no other struct has for a member."""
    return [one for one in some(1020, 3) if not any(None in member.dims for member in one.members)][:1000]


@pytest.mark.parametrize("command", ["gcc -gdwarf-5", "gcc -gdwarf-4"])
def test_a_thousand_structs_are_those_of_the_c_text(many: list[Struct], command: str, tmp_path: Path) -> None:
    # A file is read anew for every name, so that one struct has many of them for members.
    groups: list[list[tuple[int, Struct]]] = [[]]
    fields = 0
    for number, one in enumerate(many):
        count = sum(1 for _ in one.leaves())
        if fields + count > MAX_FIELDS:
            groups.append([])
            fields = 0
        fields += count
        groups[-1].append((number, one))
    text, holders = HEAD, []
    for place, group in enumerate(groups):
        text += "".join(one.text(f"S{number}") for number, one in group)
        members = "".join(f"{one.tag(f'S{number}')} v{number}; " for number, one in group)
        text += f"struct all{place} {{ {members}}} all{place};\n"
        holders.append(f"all{place}")
    path = compiled(tmp_path, f"{command} -std=gnu11", text)
    for name in holders:
        assert_same(Schema.from_dwarf(path, name), Schema.from_c(text, name))
    assert len(many) == 1000


def random_structs(count: int) -> list[str]:
    choose = random.Random(3)
    kinds = {"uint8_t": 8, "int16_t": 16, "uint32_t": 32, "int32_t": 32, "long long": 64, "char": 8}
    structs = []
    for number in range(count):
        lines = []
        for i in range(choose.randint(1, 8)):
            kind = choose.choice(list(kinds))
            form = choose.random()
            if form < 0.5:
                lines.append(f"{kind} f{i} : {choose.randint(1, kinds[kind] - 1)};")
            elif form < 0.6 and number:
                lines.append(f"struct s{choose.randrange(number)} f{i}{choose.choice(['', '[2]'])};")
            elif form < 0.7:
                lines.append(f"union {{ {kind} f{i}; unsigned u{i} : {choose.randint(1, 31)}; }};")
            else:
                lines.append(f"{kind} f{i}{choose.choice(['', '', '[3]'])};")
        packed = choose.choice(["", "", "__attribute__((packed))"])
        structs.append(f"struct s{number} {{ {' '.join(lines)} }} {packed} v{number};")
    return structs


@pytest.mark.parametrize("command", ["clang -gdwarf-5", "clang -gdwarf-4"])
def test_structs_that_gcc_and_clang_lay_out_alike(command: str, tmp_path: Path) -> None:
    structs = random_structs(40)
    text = TYPES + "\n".join(structs)
    path = compiled(tmp_path, command, text)
    same = 0
    for number in range(len(structs)):
        try:
            expected = Schema.from_c(text, f"s{number}")
        except SchemaError as error:
            assert "1024" in str(error) or "deeper" in str(error)
            continue
        assert_same(Schema.from_dwarf(path, f"s{number}"), expected)
        same += 1
    assert same > 30


def test_bit_fields_in_unions_begin_with_them(tmp_path: Path) -> None:
    text = "typedef short low __attribute__((aligned(1))); union u { low a : 2; long b : 9; int c; } v;"
    for version in (2, 4, 5):
        path = compiled(tmp_path, f"gcc -gdwarf-{version}", text)
        assert_same(Schema.from_dwarf(path, "u"), Schema.from_c(text, "u"))


def test_bit_fields_that_clang_describes_at_the_wrong_place(tmp_path: Path) -> None:
    text = "struct s { unsigned char a : 3; unsigned char b : 8; unsigned c; } __attribute__((packed)) v;"
    assert Schema.from_dwarf(compiled(tmp_path, "gcc -g", text), "s") == Schema.from_c(text, "s")
    path = compiled(tmp_path, "clang -g", text)
    try:
        assert Schema.from_dwarf(path, "s") == Schema.from_c(text, "s")
    except SchemaError as error:
        assert "lie in the same bits, as clang describes bit-fields" in str(error)


def test_big_endian_structs(tmp_path: Path) -> None:
    text = """
    #include <stdio.h>
    struct big { unsigned a : 3; unsigned b : 29; unsigned short w; unsigned char c : 3, d : 5; double f;
                 short s[2]; } __attribute__((scalar_storage_order("big-endian")));
    int main(void) {
        struct big b = { 5, 0x1234567, 0x1234, 2, 19, 2.5, { -2, 3 } };
        fwrite(&b, sizeof b, 1, stdout);
    }
    """
    for version in (3, 4, 5):
        program = compiled(tmp_path, f"gcc -gdwarf-{version}", text, link=True)
        payload = subprocess.run([program], check=True, capture_output=True).stdout
        schema = Schema.from_dwarf(program, "big")
        rows = np.frombuffer(payload, schema.dtype)
        read = [schema.column(rows, name)[0] for name in ("a", "b", "w", "c", "d", "f")]
        assert read == [5, 0x1234567, 0x1234, 2, 19, 2.5]
        assert schema.column(rows, "s")[0].tolist() == [-2, 3]
        assert schema.byteorder == "little"  # the machine's


def test_a_big_endian_machine(tmp_path: Path) -> None:
    text = "struct s { unsigned a : 3; unsigned b : 29; short w; char c : 3; double d; void *p; } v;"
    for version in (4, 5):
        path = compiled(tmp_path, f"clang --target=powerpc64-linux-gnu -gdwarf-{version}", text)
        schema = Schema.from_dwarf(path, "s")
        assert (schema.abi, schema.byteorder) == ("ppc64-64-be", "big")
        assert [(field.name, field.dtype.str, field.bits) for field in schema.fields] == [
            ("a", ">u4", (29, 3)),
            ("b", ">u4", (0, 29)),
            ("w", ">i2", None),
            ("c", "|u1", (5, 3)),
            ("d", ">f8", None),
            ("p", ">u8", None),
        ]


CXX = """
#include <cstddef>
#include <cstdio>
namespace motor { namespace v2 {
enum class Mode : unsigned char { Idle, Run = 7 };
enum class Sign : short { Neg = -3, Pos = 4 };
struct Empty {};
struct Base { Base() {} int a; char tail; };
class Status : public Base, public Empty {
  public:
    static int count;
    static const int K = 3;
    struct Inner { double p; };
    char early; Mode mode; Sign sign; Inner inner; int &ref = a; int Base::*pm; void (Base::*pmf)();
    std::nullptr_t np; wchar_t w; char16_t c16; char32_t c32; bool on; const char32_t *t32;
    unsigned bits : 5; Mode bm : 3;
    union { int i; float f; };
    Inner arr[2][2];
    void method();
    template <class T> T get();
};
int Status::count;
struct Virtual { virtual void f(); int x; };
void Virtual::f() {}
struct Joined : virtual Base { int y; };
class Outer { public: struct Nested; int z; Nested *n; };
struct Outer::Nested { int q; };
template <class T> struct Box { T value; };
typedef Box<int> IntBox;
using Alias = Status;
} }
struct Motor { int only; };
namespace other { struct Motor { double d; }; }
motor::v2::Virtual v; motor::v2::Joined j; motor::v2::Outer::Nested n; motor::v2::IntBox ib;
Motor mo; other::Motor om; motor::v2::Alias *al;
int main() {
    using namespace motor::v2;
    static Status s;
#define AT(member) std::printf("%s %d\\n", #member, int((char *)&s.member - (char *)&s))
    AT(a); AT(tail); AT(early); AT(mode); AT(sign); AT(inner.p); AT(pm); AT(pmf); AT(np); AT(w); AT(c16);
    AT(c32); AT(on); AT(t32); AT(i); AT(f); AT(arr[1][0].p);
    std::printf("size %d\\n", int(sizeof s));
}
"""


@pytest.mark.parametrize(
    "command",
    [
        "g++ -gdwarf-5",
        "g++ -gdwarf-4",
        "g++ -gdwarf-4 -fdebug-types-section",
        "g++ -gdwarf-5 -fdebug-types-section -gz",
        "clang++ -gdwarf-5",
        "clang++ -gdwarf-4 -fdebug-types-section",
        "clang++ -gdwarf-5 -fdebug-types-section",
    ],
)
def test_classes_lie_where_the_program_has_them(command: str, tmp_path: Path) -> None:
    program = compiled(tmp_path, f"{command} -std=c++17", CXX, "cc", link=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    *places, size = [line.rsplit(" ", 1) for line in printed.splitlines()]
    schema = Schema.from_dwarf(program, "motor::v2::Status")
    assert schema.size == int(size[1])
    assert [(name, schema.field(name).offset) for name, _ in places] == [
        (name, int(at)) for name, at in places
    ]
    names = {field.name for field in schema.fields}
    assert not {"count", "K"} & names
    assert {"ref", "bits", "bm"} <= names
    assert "early" in schema.storage_dtype.names  # it lies in what was padding of its base
    assert schema.field("mode").labels == Enumeration({"Idle": 0, "Run": 7})
    assert schema.field("sign").labels == Enumeration({"Neg": -3, "Pos": 4})
    assert (schema.field("sign").dtype, schema.field("pmf").dtype) == (np.dtype("<i2"), np.dtype("V16"))
    assert [schema.field(name).pointer for name in ("ref", "pm", "np", "t32")] == [True, True, True, "utf-32"]
    for alias in ("::motor::v2::Status", "v2::Status", "Alias", "class Status"):
        assert Schema.from_dwarf(program, alias) == schema
    assert [field.name for field in Schema.from_dwarf(program, "Virtual").fields] == ["_vptr_Virtual", "x"]
    assert Schema.from_dwarf(program, "IntBox") == Schema.from_dwarf(program, "Box<int>")
    assert Schema.from_dwarf(program, "Nested").size == 4
    # What no namespace holds goes first.
    assert Schema.from_dwarf(program, "Motor").size == 4
    assert Schema.from_dwarf(program, "other::Motor").size == 8
    with pytest.raises(SchemaError, match="'Joined' has a virtual base"):
        Schema.from_dwarf(program, "Joined")


def test_one_name_in_several_sources(tmp_path: Path) -> None:
    shared = "struct same { int a; }; struct hidden; struct user { struct hidden *h; };"
    one = shared + "struct differs { int a; }; struct differs d1; struct same s1; struct user u1;"
    two = (
        shared + "struct differs { long a; } d2; struct same s2; struct hidden { int h; } h2; struct user u2;"
    )
    two += "typedef struct differs differs; differs d3; int main(void) { return 0; }"
    (tmp_path / "one.c").write_text(one)
    (tmp_path / "two.c").write_text(two)
    program = tmp_path / "program"
    subprocess.run(["gcc", "-g", "-o", program, "one.c", "two.c"], check=True, cwd=tmp_path)
    assert Schema.from_dwarf(program, "same") == Schema.from_c("struct same { int a; };")
    assert Schema.from_dwarf(program, "hidden").size == 4
    with pytest.raises(SchemaError, match=r"different structs 'differs': in one\.c and in two\.c; pass"):
        Schema.from_dwarf(program, "differs")


def test_a_typedef_of_what_another_source_defines(tmp_path: Path) -> None:
    (tmp_path / "one.c").write_text(
        "typedef struct hidden hidden_t; hidden_t *p; int main(void) { return 0; }"
    )
    (tmp_path / "two.c").write_text("struct hidden { int h; } hidden;")
    program = tmp_path / "program"
    subprocess.run(["gcc", "-g", "-o", program, "one.c", "two.c"], check=True, cwd=tmp_path)
    assert [field.name for field in Schema.from_dwarf(program, "hidden_t").fields] == ["h"]
    alone = compiled(tmp_path, "gcc -g", "typedef struct hidden hidden_t; hidden_t *p;")
    with pytest.raises(SchemaError, match="'hidden_t' is no struct or union whose members"):
        Schema.from_dwarf(alone, "hidden_t")


def test_names_that_are_not_there(tmp_path: Path) -> None:
    path = compiled(tmp_path, "gcc -g", TEXT)
    for name, complaint in (
        ("statu_t", "has no struct or typedef 'statu_t'; did you mean 'status_t'"),
        ("struct status_t", "has no struct or typedef 'struct status_t'"),
        ("uint8_t", "'uint8_t' is no struct or union whose members"),
        ("mode", "has no struct or typedef 'mode'"),
        ("", "needs the name of a struct"),
        (None, "needs the name of a struct"),
    ):
        with pytest.raises(SchemaError, match=complaint):
            Schema.from_dwarf(path, name)


def test_files_without_debug_information(tmp_path: Path) -> None:
    program = compiled(tmp_path, "gcc -g", TEXT, link=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, tmp_path / "kept.debug"], check=True)
    link = f"--add-gnu-debuglink={tmp_path / 'kept.debug'}"
    subprocess.run(["objcopy", "--strip-debug", link, program, tmp_path / "linked"], check=True)
    subprocess.run(["strip", "-o", tmp_path / "stripped", program], check=True)
    old = compiled(tmp_path, "gcc -g -gz=zlib-gnu", TEXT)
    (tmp_path / "text.c").write_text(TEXT)
    subprocess.run(["gcc", "-g", "-gsplit-dwarf", "-c", "text.c"], check=True, cwd=tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    assert Schema.from_dwarf(tmp_path / "kept.debug", "status_t") == Schema.from_c(TEXT, "status_t")
    for path, complaint in (
        (tmp_path / "linked", r"has no debug information: it was moved to 'kept\.debug'"),
        (tmp_path / "stripped", "has no debug information; compile with -g"),
        (old, "old compressed form; run objcopy --decompress-debug-sections"),
        (tmp_path / "text.o", r"its types may be in 'text\.dwo': compile without -gsplit-dwarf"),
        (tmp_path / "text.dwo", "that of a split compilation; compile without -gsplit-dwarf"),
        (tmp_path / "text.c", "is no ELF file with sound debug information"),
        (tmp_path / "empty", "is no ELF file with sound debug information"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path / "fifo", "is no file; pass a program"),
        (tmp_path, "is no file; pass a program"),
    ):
        with pytest.raises(SchemaError, match=complaint):
            Schema.from_dwarf(path, "status_t")
    units = compiled(tmp_path, "g++ -std=c++17 -g -fdebug-types-section", CXX, "cc")
    with pytest.raises(SchemaError, match="was compiled with -fdebug-types-section and not linked"):
        Schema.from_dwarf(units, "Status")


def test_without_pyelftools_the_error_names_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['elftools'] = None\n"
        "from fastrec import Schema\n"
        "try:\n    Schema.from_dwarf('program', 'status_t')\n"
        "except ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "from_dwarf needs pyelftools; run: pip install pyelftools\n"


@pytest.mark.parametrize("command", ["gcc -gdwarf-5", "g++ -gdwarf-4 -fdebug-types-section -std=c++17"])
def test_damaged_files_are_refused_in_bounded_time(command: str, tmp_path: Path) -> None:
    cxx = command.startswith("g++")
    whole = compiled(tmp_path, command, CXX if cxx else TEXT, "cc" if cxx else "c", link=True).read_bytes()
    with (tmp_path / "program").open("rb") as file:
        spans = [
            (section["sh_offset"], section["sh_size"])
            for section in ELFFile(file).iter_sections()
            if section.name in (".debug_info", ".debug_abbrev", ".debug_str", ".debug_types")
        ]
    choose = random.Random(17)
    outcomes = {"read": 0, "refused": 0}
    slowest = 0.0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(choose.choice((1, 1, 2, 5, 50))):
            start, length = choose.choice([*spans, (0, 64)])
            data[start + choose.randrange(length)] = choose.choice((0, 1, 128, 255, choose.randrange(256)))
        if choose.random() < 0.1:
            del data[choose.randrange(len(data)) :]
        (tmp_path / "damaged").write_bytes(data)
        began = time.monotonic()
        try:
            Schema.from_dwarf(tmp_path / "damaged", "Status" if cxx else "status_t")
            outcomes["read"] += 1
        except SchemaError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
        slowest = max(slowest, time.monotonic() - began)
    assert min(outcomes.values()) > 10
    assert slowest < 10


def test_work_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compiled(tmp_path, "gcc -g", TEXT)
    monkeypatch.setattr(entries, "MAX_WORK", 1000)
    with pytest.raises(SchemaError, match="has more debug information than is read"):
        Schema.from_dwarf(path, "status_t")


def test_names_of_unbounded_length_are_refused(tmp_path: Path) -> None:
    path = compiled(tmp_path, "gcc -g", f"struct s {{ int {'x' * 200_000}; }} v;")
    with pytest.raises(SchemaError, match=r"has names of more than 65536 bytes in \.debug_str"):
        Schema.from_dwarf(path, "s")
