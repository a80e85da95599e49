"""Macros, conditionals and includes as gcc has them; predefined names as each compiler does."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from compilers import COMPILERS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.abi import abi_named
from fastrec.schema.c.macros import macro_of
from fastrec.schema.c.predefined import predefined
from fastrec.schema.c.preprocessor import Preprocessor
from fastrec.schema.c.tokens import UNSURE, Source, Token, tokens_of

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

COUNT = 300
OBJECTS = ("A", "B", "C", "D")
FUNCTIONS = {"F": 1, "G": 2, "H": 1, "V": 2, "Z": 0}
WORDS = ("x", "y1", "int", "7", "0x1f", "'c'", '"s"', "+", "-", "*", "&&", ";", "<", "[", "]", ".", "->")


def tokens(text: str, abi: str = "sysv-x64", **options: object) -> list[str]:
    """What a text is after its directives."""
    made = Preprocessor(abi_named(abi), **options).tokens(Source(text))  # type: ignore[arg-type]
    return said(made)


def said(made: Iterable[Token]) -> list[str]:
    return [token.text for token in made if token.kind not in UNSURE]


def gcc(text: str) -> list[str]:
    """The same of gcc."""
    done = subprocess.run(
        ["gcc", "-E", "-P", "-w", "-x", "c", "-std=gnu11", "-"], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:2000]
    return [token.text for token in tokens_of(Source(done.stdout)) if token.kind != "line"]


@st.composite
def pieces(draw: st.DrawFn, names: tuple[str, ...], functions: tuple[str, ...], depth: int = 2) -> str:
    """Tokens, among them names and whole calls of the macros given."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.integers(0, 5))
        if kind < 2 or (kind < 4 and not names):
            found.append(draw(st.sampled_from(WORDS)))
        elif kind < 4:
            found.append(draw(st.sampled_from(names)))
        elif functions and depth:
            function = draw(st.sampled_from(functions))
            count = FUNCTIONS[function]
            if function == "V":
                count = draw(st.integers(1, 4))
            inner = [draw(pieces(names, functions, depth - 1)) for _ in range(count)]
            blank = draw(st.sampled_from(("", " ", "\n") if depth == 2 else ("", " ")))
            found.append(f"{function}{blank}({', '.join(inner)})")
        else:
            found.append("(x, y)")
    return draw(st.sampled_from((" ", "  ", " /* c */ "))).join(found)


@st.composite
def bodies(
    draw: st.DrawFn, parameters: tuple[str, ...], names: tuple[str, ...], functions: tuple[str, ...]
) -> str:
    found = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.integers(0, 6))
        if parameters and kind == 0:
            found.append("#" + draw(st.sampled_from(("", " "))) + draw(st.sampled_from(parameters)))
        elif parameters and kind == 1:
            # A word, so that what is joined is a token.
            some = draw(st.lists(st.sampled_from(("w", "q9")), min_size=1, max_size=3))
            found.append("##".join(some) + " ## " + draw(st.sampled_from(parameters)))
        elif parameters and kind < 5:
            found.append(draw(st.sampled_from(parameters)))
        else:
            found.append(draw(pieces(names, functions, 1)).replace("\n", " "))
    return draw(st.sampled_from((" ", "  "))).join(found)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Macros, each made of those before it, and what uses them."""
    lines = []
    names: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    for name in OBJECTS:
        if draw(st.booleans()):
            # Names that come later, or the macro itself, may stand in it too.
            lines.append(f"#define {name} {draw(bodies((), OBJECTS, functions))}")
            names = OBJECTS
        parameters = {"A": ("F", "p"), "B": ("G", "p, q"), "C": ("V", "p, ..."), "D": ("Z", "")}[name]
        if draw(st.booleans()):
            inside = tuple(parameters[1].replace("...", "__VA_ARGS__").split(", ")) if parameters[1] else ()
            body = draw(bodies(inside, names, functions))
            if parameters[0] == "V" and draw(st.booleans()):
                body += " k(p, ## __VA_ARGS__)"
            lines.append(f"#define {parameters[0]}({parameters[1]}) {body}")
            functions += (parameters[0],)
    lines.append(draw(pieces(OBJECTS, functions)))
    for _ in range(draw(st.integers(0, 3))):
        asked = draw(conditions())
        lines.append(f"#if {asked}\n{draw(pieces(OBJECTS, functions))}")
        for _ in range(draw(st.integers(0, 2))):
            lines.append(f"#elif {draw(conditions())}\n{draw(pieces(OBJECTS, functions))}")
        if draw(st.booleans()):
            lines.append(f"#ifdef {draw(st.sampled_from(OBJECTS))}\nyes\n#else\nno\n#endif")
        if draw(st.booleans()):
            lines.append(f"# else\n{draw(pieces(OBJECTS, functions))}")
        lines.append("#endif")
        if draw(st.booleans()):
            lines.append(f"#undef {draw(st.sampled_from(OBJECTS))}")
        lines.append(draw(pieces(OBJECTS, functions)))
    return "\n".join(lines) + "\n"


def conditions() -> st.SearchStrategy[str]:
    values = st.sampled_from(
        ("0", "1", "defined A", "defined(B)", "!defined C", "-1", "2u", "'a'", "0x7f", "UNKNOWN", "(3)")
    )
    marks = st.sampled_from(("+", "-", "*", "==", "<", ">", "&&", "||", "&", "<< 40 |", "!=", "|"))
    return st.recursive(
        values,
        lambda inner: (
            st.builds("{} {} {}".format, inner, marks, inner)
            | st.builds("!({})".format, inner)
            | st.builds("(({}) ? {} : {})".format, inner, inner, inner)
        ),
        max_leaves=5,
    )


def test_tokens_are_those_of_gcc(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, None] = {}

    @settings(
        max_examples=COUNT + COUNT // 3,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(texts())
    def collect(one: str) -> None:
        if len(found) < COUNT:
            found.setdefault(one)

    collect()
    agreed = refused = 0
    wrong = []
    undefined = "".join(f"#undef {name}\n" for name in (*OBJECTS, *FUNCTIONS))
    mine: dict[str, list[str] | str] = {}
    for text in found:
        try:
            mine[text] = tokens(text)
        except SchemaError as error:
            mine[text] = str(error)
    # What both take is asked for at once; what we refuse, one by one.
    taken = [text for text, one in mine.items() if not isinstance(one, str)]
    answers = _split(gcc("\n".join(f"{undefined}{text}\nnext_text" for text in taken)))
    for text, answer in zip(taken, answers, strict=True):
        agreed += mine[text] == answer
        if mine[text] != answer:
            wrong.append(f"{text}{' '.join(mine[text])}\nnot\n{' '.join(answer)}")
    for text, one in mine.items():
        if isinstance(one, str):
            refused += 1
            done = subprocess.run(
                ["gcc", "-E", "-P", "-x", "c", "-"], input=text, capture_output=True, text=True
            )
            if done.returncode == 0 and "overflow" not in done.stderr:
                wrong.append(f"{text}{one}")
    with capsys.disabled():
        print(f"\n{len(found)} texts, {agreed} alike, {refused} refused by both")  # noqa: T201
    assert not wrong, f"{len(wrong)}:\n" + "\n\n".join(sorted(wrong, key=len)[:6])
    assert agreed > COUNT // 2


def _split(stream: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for token in stream:
        if token == "next_text":
            found.append([])
        else:
            found[-1].append(token)
    return found[:-1]


@pytest.mark.parametrize(
    "text",
    [
        "#define f(a) a*g\n#define g(a) f(a)\nf(2)",
        "#define x 3\n#define f(a) f(x * (a))\n#undef x\n#define x 2\n#define g f\n#define z z[0]\n"
        "#define h g(~\n#define m(a) a(w)\n#define w 0,1\n#define t(a) a\n#define p() int\n#define q(x) x\n"
        "#define r(x,y) x ## y\n#define str(x) # x\n"
        "f(y+1) + f(f(z)) % t(t(g)(0) + t)(1);\ng(x+(3,4)-w) | h 5) & m\n(f)^m(m);\n"
        "p() i[q()] = { q(1), r(2,3), r(4,), r(,5), r(,) };\nchar c[2][6] = { str(hello), str() };",
        "#define str(s) # s\n#define xstr(s) str(s)\n"
        "#define debug(s, t) printf(\"x\" # s \"= %d\", x ## s, x ## t)\n"
        "#define INCFILE(n) vers ## n\n#define glue(a, b) a ## b\n#define xglue(a, b) glue(a, b)\n"
        "#define HIGHLOW \"hello\"\n#define LOW LOW \", world\"\ndebug(1, 2);\n"
        "fputs(str(strncmp(\"abc\\0d\", \"abc\", '\\4') == 0) str(: @\\n), s);\n"
        "xstr(INCFILE(2).h)\nglue(HIGH, LOW);\nxglue(HIGH, LOW)",
        "#define t(x,y,z) x ## y ## z\n"
        "int j[] = { t(1,2,3), t(,4,5), t(6,,7), t(8,9,), t(10,,), t(,11,), t(,,12), t(,,) };",
        "#define S(x) #x\nS(a\nb) S(  a   b  ) S() S(\"q\\n\") S('\\\\') S(a/**/b)",
        "#define v(f, ...) p(f, ## __VA_ARGS__)\nv(1) v(1,) v(1,2,3)",
        "#define v(f, a...) p(f, ## a) q(a)\nv(1) v(1,2,3)",
        "#define v(...) p(0, ## __VA_ARGS__) #__VA_ARGS__\nv() v(1, 2)",
        "#define E\n#define L (\n#define f(x) [x]\n#define C ,\n#define two(a, b) a.b\n"
        "#define call(x) two(x)\nf E (1) f L 2) call(1 C 2)",
        "#define f(x) [x]\nf\n(2) f f(f)(3) f",
        "#define cat(a, b) a ## b\n#define AB 5\ncat(A, B) cat(x, AB) cat(<, <) cat(1, e3) cat(., 5)",
        "#define f\\\n(x) <x>\nf(1)\n#define g \\\n(x) <x>\ng(1)",
        "#if 0\ndon't \"stop\n#else garbage\nyes\n#endif junk",
        "#if 1\na\n#elif 1 / 0\nb\n#else\nc\n#endif\n#if 0\n#if 1/0\n#elif\n#endif\n#endif",
        "#if 0xffffffffffffffff > 0 && -1 > 0u && 'a' << 40 && (1 == 1) << 40 && !0 << 33\nyes\n#endif",
        "#if 0 && 1 / 0 || 1 || 1 / 0\nyes\n#endif\n#if (2 || 1 / 0) ? 1 : 1 / 0\nyes\n#endif",
        "#if true\nyes\n#else\nno\n#endif\n#if __LINE__ == 6\nsix\n#endif",
        "#ifndef Q\n#define Q 1\n#ifdef Q\na\n#else\nb\n#endif\n#endif\n#undef Q\nQ",
        "# /* c */ define /* d */ Q /* e\n */ 1\nQ\n#\n# 7 \"x\"\n__LINE__",
        "#define EMPTY\n#define Q() EMPTY x\nQ() Q ()  Q\n()",
        "a\r\n#define X 1 \\\r\n + 2\r\nX\r\n#if X == 3\r\nyes\r\n#endif\r\n",
        "// c \\\nstill\nx /* a // */ y // z /*\nw \"/*\" '\\'' v",
        "__COUNTER__ __COUNTER__",
    ],
)  # fmt: skip
def test_written_texts_are_what_gcc_makes_of_them(text: str) -> None:
    assert tokens(text) == gcc(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#error no \"way\" here", "'error' is reached: 'no \"way\" here'"),
        ("#if 1", "'if' has no #endif"),
        ("#if\n#endif", "stands where a number is expected"),
        ("#if 1 2\n#endif", "is not understood in #if"),
        ("#if 1.0\n#endif", "is no integer constant"),
        ("#if 1 / 0\n#endif", "divides by zero"),
        ("#if defined\n#endif", "'defined' names no macro"),
        ("#if defined(X\n#endif", "'defined' names no macro"),
        ("#define D defined(X)\n#if D\n#endif", "is not understood here"),
        ("#if __has_include(x)\n#endif", "is not understood here"),
        ("#if __has_include_next(<x.h>)\n#endif", "is not understood here"),
        ("#ifdef\n#endif", "names no macro"),
        ("#else", "stands behind no #if"),
        ("#endif", "stands behind no #if"),
        ("#elif 1", "stands behind no #if"),
        ("#if 1\n#else\n#else\n#endif", "stands behind #else"),
        ("#if 1\n#else\n#elif 1\n#endif", "stands behind #else"),
        ("#define", "defines nothing"),
        ("#define 1", "is no name for a macro"),
        ("#define defined", "is no name for a macro"),
        ("#define f(x", "is never closed"),
        ("#define f(x, x) x", "is no parameter of a macro"),
        ("#define f(1) x", "is no parameter of a macro"),
        ("#define f(..., x) x", "is no parameter of a macro"),
        ("#define f(x) ## x", "joins nothing"),
        ("#define f(x) x ##", "joins nothing"),
        ("#define f(x) #y\nf(1)", "stands before no parameter"),
        ("#define f(x) x\nf(1, 2)", "is a macro of 1 arguments, not 2"),
        ("#define f(x) x\nf(1", "arguments do not end"),
        ("#define c(a, b) a ## b\nc(+, x)", "which is no token of C"),
        ("#undef", "names no macro"),
        ("#frob", "is no directive that is known here"),
        ("#include", "is followed by no"),
        ("#line x", "is no number of a line"),
        ("#pragma pack(3)", "is no packing"),
        ("#pragma pack(pop)", "was never pushed"),
        ("#pragma pack(push, a, 1)\n#pragma pack(pop, b)", "was never pushed"),
        ("#pragma pack(1, 2)", "is one too many"),
        ("#pragma pack(push 1)", "stands where a comma is expected"),
        ("#define N 1\n#pragma pack(N)", "is a macro, which not every compiler expands"),
        ("#pragma pack 1", "is written as"),
        ("#pragma ms_struct on", "changes layouts"),
        ("#pragma scalar_storage_order big-endian", "changes layouts"),
        ("_Pragma(pack)", "has no text in brackets"),
        ("__pragma(pack(push, 1)", "has no text in brackets"),
        ("a\\\nb", "continues a line within a word"),
        ("a &\\\n& b", "continues a line within a word or mark"),
        ("/* c", "begins a comment that does not end"),
        ("#define X X1 X1\n"
         + "".join(f"#define X{n} X{n + 1} X{n + 1}\n" for n in range(1, 40)) + "X", "too many"),
        ("#define f(x) x\n" + "f(" * 100 + ")" * 100, "is nested deeper than 64"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(said)) as refused:
        tokens(text)
    assert re.match(r"line \d+, column \d+: ", str(refused.value))


def test_a_warning_and_unknown_pragmas_are_passed_over() -> None:
    assert tokens('#warning no\n#pragma omp x\n#ident "x"\n#pragma\nx') == ["x"]


def test_messages_know_the_file_and_line_of_line_markers() -> None:
    text = '# 1 "main.h"\n# 30 "sub dir/inner.h" 1\nint a;\nstruct s { frob x; };\n# 2 "main.h" 2\n'
    with pytest.raises(SchemaError, match=r"^sub dir/inner.h, line 31, column 12: 'frob'"):
        Schema.from_c(text, "s")
    with pytest.raises(SchemaError, match=r"^x.h, line 9, column 12: 'frob'"):
        Schema.from_c('#line 9 "x.h"\nstruct s { frob x; };', "s")


def test_a_mark_of_byte_order_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "bom.h").write_text("struct s { char a; };", encoding="utf-8-sig")
    assert Schema.from_c("\ufeffstruct s { int a; };").size == 4
    assert Schema.from_c('\ufeff#include "bom.h"', "s", include=[tmp_path]).size == 1


def test_includes_are_found_next_to_the_file_and_in_folders(tmp_path: Path) -> None:
    for folder in ("one", "two", "one/below"):
        (tmp_path / folder).mkdir()
    (tmp_path / "one/a.h").write_text('#pragma once\n#include "below/b.h"\n#include "a.h"\none\n')
    (tmp_path / "one/below/b.h").write_text('#include "c.h"\n#include "two.h"\nb\n')
    (tmp_path / "one/below/c.h").write_text("near")
    (tmp_path / "two/c.h").write_text("far")
    (tmp_path / "two/two.h").write_text("#ifndef T\n#define T\ntwo\n#endif")
    folders = [tmp_path / "one", tmp_path / "two"]
    text = '#define FILE "a.h"\n#include FILE\n#include "a.h"\n#include "two.h"\n#include "c.h"\n'
    assert tokens(text, include=folders) == ["near", "two", "b", "one", "far"]
    assert tokens("#include <two.h>", include=folders) == ["two"]
    main = tmp_path / "two/main.h"
    assert tokens('#include "c.h"', path=main) == ["far"]
    assert tokens('#include "c.h"\n#include "b.h"', include=[tmp_path / "one/below"], path=main)[0] == "far"
    made = Preprocessor(abi_named("sysv-x64"), path=main)
    assert not said(made.tokens(Source(f'#include <c.h>\n#include "no.h"\n#include "{tmp_path}/one/a.h"')))
    assert f"come from {tmp_path}/one/a.h, c.h, no.h, which was not read" in made.unread.hint()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h")
    (tmp_path / "folder.h").mkdir()
    (tmp_path / "loop.h").symlink_to("loop.h")
    made = Preprocessor(abi_named("sysv-x64"), include=[tmp_path, Path("/dev")])
    names = ["folder.h", "pipe.h", "loop.h", "zero", "", "x" * 5000]
    assert not said(made.tokens(Source("".join(f'#include "{name}"\n' for name in names))))
    assert all(name in made.unread.hint() for name in names[:2])


def test_a_file_that_cannot_be_read_is_told() -> None:
    with pytest.raises(SchemaError, match="/mem' cannot be read: Input/output error"):
        tokens('#include "mem"', include=["/proc/self"])


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "late.h")
    monkeypatch.setattr("stat.S_ISREG", lambda mode: True)
    assert tokens('#include "late.h"\nx', include=[tmp_path]) == ["x"]


def test_a_file_that_includes_itself_is_told_and_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text('#include "b.h"\n')
    (tmp_path / "b.h").write_text('#include "a.h"\n')
    with pytest.raises(SchemaError, match=r"nested deeper than 32; '[ab].h' includes itself"):
        tokens('#include "a.h"', include=[tmp_path])
    for number in range(30):
        (tmp_path / f"t{number}.h").write_text(f'#include "t{number + 1}.h"\n' * 40)
    (tmp_path / "t30.h").write_text("")
    with pytest.raises(SchemaError, match=r"more than|too many"):
        tokens('#include "t0.h"', include=[tmp_path])


def test_defines_are_macros() -> None:
    defines = {"A": 3, "B": -1, "C": "x + A", "D": "", "F(x)": "[x]"}
    assert tokens("A B C D F(1)", defines=defines) == ["3", "-", "1", "x", "+", "3", "[", "1", "]"]
    assert Schema.from_c("struct s { char a[N]; };", defines={"N": 5}).size == 5


@pytest.mark.parametrize(
    "defines",
    [{"": 1}, {"1": 1}, {"A B": 1}, {"A": 1.5}, {"A": True}, {1: 1}, {"A": "1\n#define B"},
     {"A(": 1}, {"A": "x" * 70000}, {"A": 10**5000}, {"defined": 1}, {"A\n": 1}, {"A": "/*"}, {"A//": "x"}],
)  # fmt: skip
def test_other_defines_are_refused(defines: dict[object, object]) -> None:
    with pytest.raises(SchemaError, match=r"A|defines|defined") as refused:
        Schema.from_c("struct s { char a[2]; };", defines=defines)  # type: ignore[arg-type]
    assert len(str(refused.value)) < 300


PACKED = [
    "#pragma pack(1)\n", "#pragma pack(push, 2)\n",
    "#pragma pack(push)\n#pragma pack(1)\n#pragma pack(pop)\n",
    "#pragma pack(push, a, 1)\n#pragma pack(push, 4)\n#pragma pack(pop, a)\n",
    "#pragma pack(4)\n#pragma pack()\n",
    "#pragma pack(2)\n#pragma pack(0)\n", "_Pragma(\"pack(push, 2)\")\n",
    "#define P(n) _Pragma(#n)\nP(pack(1))\n", "#pragma pack(push, 1)\n#pragma pack(pop)\n",
    "#pragma pack(16)\n", "#pragma pack(8)\n",
    "#pragma pack(push, 1)\n#pragma pack(push, 4)\n#pragma pack(pop)\n",
    "#pragma pack(1)\n#pragma pack(push, 4)\n#pragma pack(pop)\n", "#pragma pack(show)\n",
    "#pragma pack(push, 1)\n#pragma pack()\n#pragma pack(pop)\n", "#if 0\n#pragma pack(1)\n#endif\n",
    "#pragma pack(push, a, 1)\n#pragma pack(push, a, 4)\n#pragma pack(pop, a)\n",
]  # fmt: skip


@pytest.mark.parametrize("abi", ["sysv-x64", "sysv-x86", "msvc-x64", "msvc-x86"])
def test_packings_are_those_of_the_compiler(abi: str) -> None:
    body = "{ char a; long long b; char c; short d; char e; int f; double g; char h; };"
    only = [
        "#define N 4\n#pragma pack(push, N)\n",
        "__pragma(pack(push, 1))\n",
        "#pragma pack(push, 2)\n#pragma pack(pop, 1)\n",
    ][: 3 * ("msvc" in abi)]
    for pragma in PACKED + only:
        text = f"{pragma}struct s {body}"
        size = Schema.from_c(text, abi=abi).size
        done = subprocess.run(
            [*COMPILERS[abi], "-x", "c", "-w", "-fsyntax-only", "-"],
            input=f'{text}\n_Static_assert(sizeof(struct s) == {size}, "");\n',
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (pragma, done.stderr)


def test_folders_that_pack_are_known_by_their_names() -> None:
    text = "#include <pshpack1.h>\nstruct s { char a; int b; };\n"
    text += "#include <poppack.h>\nstruct t { char a; int b; };"
    assert Schema.from_c(text, "s").size == 5
    assert Schema.from_c(text, "t").size == 8
    assert (
        Schema.from_c(text.replace("pshpack1", "PSHPACK2").replace("<", '"').replace(">", '"'), "s").size == 6
    )


VERSIONS = re.compile(r"__GNUC\w*__|__GNUC_STDC_INLINE__|__STDC_VERSION__|_MSC_\w+|__BIGGEST_ALIGNMENT__")


@pytest.mark.parametrize("abi", COMPILERS)
def test_predefined_names_have_the_values_of_the_compiler(abi: str) -> None:
    done = subprocess.run(
        [*COMPILERS[abi], "-dM", "-E", "-std=gnu17", "-x", "c", os.devnull], capture_output=True, text=True
    )
    theirs = {}
    for line in done.stdout.splitlines():
        defined = [token for token in tokens_of(Source(line)) if token.kind != "line"][2:]
        try:
            name, macro = macro_of(defined)
        except SchemaError:
            continue
        theirs[name] = " ".join(token.text for token in macro.body)
    ours = {
        name: " ".join(token.text for token in macro.body)
        for name, macro in predefined(abi_named(abi)).items()
    }
    shared = [name for name in ours if name in theirs and not VERSIONS.fullmatch(name)]
    assert len(shared) > 60
    wrong = [name for name in shared if _plain(ours[name]) != _plain(theirs[name])]
    assert not wrong, [(name, ours[name], theirs[name]) for name in wrong]


def _plain(text: str) -> object:
    """A value without the way it is written: words of a type in order, numbers as such."""
    if match := re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)([uUlL]*)", text):
        return int(match[1], 0), "".join(sorted(match[2].upper()))
    return sorted(set(text.split()) - {"int"}) or ["int"]
