"""From text to a tree: Python's own parser is the oracle; what it is no oracle for, and every error."""

from __future__ import annotations

import random
import sys
from itertools import product

import pytest
from trees import BINARY, COMPARISONS, Foreign, bare, expression, python_tree

from fastrec import LOST, ExpressionError
from fastrec.expressions import (
    FUNCTIONS,
    MAX_CHOICES,
    MAX_LENGTH,
    MAX_NESTING,
    Binary,
    Call,
    Compare,
    Constant,
    Duration,
    In,
    Logic,
    Name,
    Number,
    Text,
    Unary,
    parse,
)
from fastrec.expressions.tree import walk

A, B, C = (Name(name, 0) for name in "abc")


def judged(text: str) -> ExpressionError | None:
    """The error of a text, or None if it has a tree; another error or a wild message fails the test."""
    try:
        parse(text)
    except ExpressionError as error:
        message = str(error)
        assert error.text is text and 0 <= error.at <= len(text)
        assert f" at column {error.at + 1}: " in message
        assert message.isprintable() and len(message) < 360
        return error
    return None


def refused(text: str) -> ExpressionError:
    error = judged(text)
    assert error is not None, f"{text[:200]!r} has a tree"
    return error


def agrees(text: str) -> bool:
    """Whether a text is an expression for Python and here, and then with the same tree, or for neither."""
    try:
        wanted = python_tree(text)
    except (SyntaxError, Foreign):
        refused(text)
        return False
    assert bare(parse(text)) == bare(wanted), text
    return True


class TestPythonsParser:
    """Python's precedence, its chains and its numbers."""

    def test_each_pair_of_operators(self) -> None:
        between = [*BINARY, *COMPARISONS, "and", "or"]
        for one, other in product(between, between):
            assert agrees(f"a {one} b {other} c")
        assert agrees("0x1e+5 - 0xE-1e+2")
        for before, one in product(("-", "+", "~", "not "), between):
            assert agrees(f"{before}a {one} b")
            assert agrees(f"a {one} {before}b") == (before != "not " or one in ("and", "or"))
        for one in between:
            assert agrees(f"a {one} b in (c, 1)") and agrees(f"a in (c, 1) {one} b") == (one in ("and", "or"))

    def test_random_expressions(self) -> None:
        source = random.Random(20260921)
        texts = [expression(source) for _ in range(1500)]
        assert sum(map(agrees, texts)) > 700
        assert max(map(len, texts)) > 500

    def test_random_words(self) -> None:
        source = random.Random(20260922)
        words = ["a", "b", "1", "(", "(", ")", ")", ",", "not", "in", "==", "<", "and", "or"]
        words += ["-", "~", "|", "*", "abs", "**", "if"]
        texts = (" ".join(source.choices(words, k=source.randrange(1, 7))) for _ in range(20_000))
        assert sum(map(agrees, texts)) > 200


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("  hr\n<\t0 ", Compare("<", Name("hr", 2), Number(0, 7), 5)),
        ("hr & 0x80 == 0x80", Compare("==", Binary("&", Name("hr", 0), Number(128, 5), 3),
                                       Number(128, 13), 10)),
        ("0 < x < 5", Logic("and", (Compare("<", Number(0, 0), Name("x", 4), 2),
                                    Compare("<", Name("x", 4), Number(5, 8), 6)), 2)),
        ("a and (b and c)", Logic("and", (Name("a", 0), Name("b", 7), Name("c", 13)), 2)),
        ("(a or b) or c", Logic("or", (Name("a", 1), Name("b", 6), Name("c", 12)), 3)),
        ("x not in (A, 'B', 3,)", In(Name("x", 0), (Name("A", 10), Text("B", 13), Number(3, 18)), True, 2)),
        ("x in (-1)", In(Name("x", 0), (Unary("-", Number(1, 7), 6),), False, 2)),
        ("t > -50ms", Compare(">", Name("t", 0), Unary("-", Duration(50_000_000, 5), 4), 2)),
        ("has (f, A, B)", Call("has", (Name("f", 5), Name("A", 8), Name("B", 11)), 0)),
        (["true", "false", "null", "lost"], (True, False, None, LOST)),
        (["True", "False", "None"], (True, False, None)),
        ("`in` == has", Compare("==", Name("in", 0), Name("has", 8), 5)),
        ("`not`+`a b.'(`", Binary("+", Name("not", 0), Name("a b.'(", 6), 5)),
        ("a.in", Name("a.in", 0)),
        ("größe", Name("größe", 0)),
        ("is == TRUE", Compare("==", Name("is", 0), Name("TRUE", 6), 3)),
    ],
    ids=str,
)  # fmt: skip
def test_what_stands_where(text: str | list[str], tree: object) -> None:
    if isinstance(text, list):
        assert [bare(parse(f" {word}")) for word in text] == [bare(Constant(value, 1)) for value in tree]
        return
    found = parse(text)
    assert bare(found) == bare(tree) and found == tree  # the second compares the places, too


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "the expression is empty; write a condition, such as hr < 0"),
        (" \n", 1, "the expression is empty; write a condition, such as hr < 0"),
        ("hr < 0 annd x", 8, "'annd' is no operator; did you mean 'and'?"),
        ("hr b", 4, "'b' is no operator; there is 'and', 'or', 'in', 'not in'"),
        ("a && b", 3, "'&&' is no operator; write and"),
        ("a || b", 3, "'||' is no operator; write or"),
        ("!x", 1, "'!' is no operator; write not"),
        ("a and !x", 7, "'!' is no operator; write not"),
        ("a <> b", 3, "'<>' is no operator; write !="),
        ("a === b", 3, "'===' is no operator; write =="),
        ("a !== b", 3, "'!==' is no operator; write !="),
        ("a = b", 3, "'=' is no operator; write =="),
        ("a := b", 3, "':=' is no operator; write =="),
        ("a => b", 3, "'=>' is no operator; write >="),
        ("a =< b", 3, "'=<' is no operator; write <="),
        ("a ** 2", 3, "'**' is no operator; write x * x"),
        ("a is b", 3, "'is' is no operator; write ==, or != for 'is not'"),
        ("if a", 1, "'if' is no operator; write the condition alone; a field of this name is put"),
        ("a if b else c", 3, "'if' is no operator; write the condition alone"),
        ("a ? b : c", 3, "'?' is no operator; write conditions with and, or, not"),
        ("p->x", 2, "'->' is no operator; write a dot, as in motors[2].pos"),
        ("m::A == 1", 2, "'::' is no operator; write the label alone, or all of it in back quotes"),
        ("a[-1]", 2, "'[' is no operator; an index is digits in brackets, right behind the name"),
        ("a . b", 3, "'.' is no operator; paths have no spaces about their dots"),
        ("a xor b", 3, "'xor' is no operator; write ^"),
        ("a between 1 and 5", 3, "'between' is no operator; write 1 <= x <= 5"),
        ("a AND b", 3, "'AND' is no operator; write and"),
        ("a In (b)", 3, "'In' is no operator; write in"),
        ("NOT a", 1, "'NOT' is no operator; write not"),
        ("has a", 1, "'has' is a function; write has(...)"),
        ("`abs`(a)", 1, "'abs' is a function; write abs(...)"),
        ("t > 50 ms", 8, "between a number and its unit is no space; write 50ms"),
        ("a 5", 3, "an operator is missing before '5'"),
        ("'a' 'b'", 5, "an operator is missing before \"'b'\""),
        ("1 (a)", 3, "an operator is missing before '('"),
        ("a ~b", 3, "an operator is missing before '~'"),
        ("a $ b", 3, "'$' has no meaning here; a name with it is put in back quotes"),
        ("a\0", 2, r"'\x00' has no meaning here; leave it out"),
        ("\xa0a", 1, r"'\xa0' has no meaning here; leave it out"),
        ("a +", 4, "the expression ends where a name or a value is missing"),
        ("a +* b", 4, "a name or a value is missing before '*'"),
        ("a and or b", 7, "a name or a value is missing before 'or'"),
        ("()", 2, "a name or a value is missing before ')'"),
        ("x in (a,,b)", 9, "a name or a value is missing before ','"),
        ("a) or b", 2, "nothing is open that this ) could close"),
        ("b or (a or (c)", 6, "this ( is never closed; write ) where it ends"),
        ("x in (a, b", 6, "this ( is never closed; write ) where it ends"),
        ("has(a, b", 4, "this ( is never closed; write ) where it ends"),
        ("a, b", 2, "a list stands in parentheses behind in, as in x in (A, B)"),
        ("(a, b) == c", 3, "a list stands behind in, as in x in (A, B)"),
        ("x in a", 6, "behind in stands a list in parentheses, as in x in (A, B)"),
        ("x in [a]", 6, "behind in stands a list in parentheses, as in x in (A, B)"),
        ("x not in", 9, "behind in stands a list in parentheses, as in x in (A, B)"),
        ("x in ()", 6, "this list is empty; write values, as in x in (A, B)"),
        ("a not b", 3, "behind a value stands not in; or put and before not"),
        ("a == not b", 6, "not binds looser than what stands before it; write (not x)"),
        ("a in (1,) < 3", 11, "a list has no value; put what stands before this in parentheses"),
        ("a in (b,) + 3", 11, "a list has no value; put what stands before this in parentheses"),
        ("a in (b,) not in (c,)", 11, "a list has no value; put what stands before this in parentheses"),
        ("a + sqrt(b)", 5, "there is no function 'sqrt'; there is 'has', 'changed', 'isnan', 'abs'"),
        ("chnged(b)", 1, "there is no function 'chnged'; did you mean 'changed'?"),
        ("1 < abs()", 5, "abs takes 1 argument, not 0; write abs(field)"),
        ("changed(a, b)", 1, "changed takes 1 argument, not 2; write changed(field)"),
        ("has(a)", 1, "has takes 2 arguments or more, not 1; write has(field, NAME)"),
    ],
)  # fmt: skip
def test_an_error_says_where_and_what_instead(text: str, column: int, message: str) -> None:
    error = refused(text)
    assert (error.at + 1, str(error).partition(f" at column {column}: ")[2][: len(message)]) == (
        column,
        message,
    )
    assert str(error) == f"{text!r} at column {column}: {str(error).partition(f' at column {column}: ')[2]}"


@pytest.mark.parametrize("value", [None, 5, b"hr < 0", ["hr"]])
def test_an_expression_is_a_text(value: object) -> None:
    with pytest.raises(ExpressionError, match=r"^an expression is a text, such as 'hr < 0', not ") as caught:
        parse(value)
    assert (caught.value.text, caught.value.at) == ("", 0)


class TestLimits:
    """Whatever is read is small enough, and what is as large as may be is read."""

    def test_length(self) -> None:
        longest = "a" * MAX_LENGTH
        assert parse(longest) == Name(longest, 0)
        error = refused(longest + "a")
        assert str(error).endswith(f"has at most {MAX_LENGTH} characters, this one has {MAX_LENGTH + 1}")

    @pytest.mark.parametrize("word", ["and", "or"])
    def test_long_logic(self, word: str) -> None:
        tree = parse(f" {word} ".join(["a"] * 10_000))
        assert len(tree.parts) == 10_000 and {part.text for part in tree.parts} == {"a"}

    def test_long_chain(self) -> None:
        tree = parse("<".join("a" * 10_000))
        assert len(tree.parts) == 9_999 and {type(part) for part in tree.parts} == {Compare}

    @pytest.mark.parametrize(
        ("before", "after", "most"),
        [
            ("(", ")", MAX_NESTING),
            ("abs(", ")", MAX_NESTING - 1),
            ("a in (", ")", MAX_NESTING - 1),
            ("-(", ")", MAX_NESTING - 1),
            ("not ", "", MAX_NESTING - 1),
            ("~", "", MAX_NESTING - 1),
            ("", "+a", MAX_NESTING - 1),
            ("a-(", ")", MAX_NESTING - 1),
            ("a==(b|(", "))", (MAX_NESTING - 1) // 2),
        ],
    )
    def test_nesting(self, before: str, after: str, most: int) -> None:
        tree = parse(before * most + "b" + after * most)
        assert max(depth for _, depth in walk(tree)) <= MAX_NESTING
        error = refused(before * (most + 1) + "b" + after * (most + 1))
        assert "this lies more than 64 operators or parentheses deep" in str(error)

    def test_the_stack_of_calls_is_not_deep(self) -> None:
        """With so many frames as a third of what Python gives; the deepest texts there are."""
        every = "a or b and not c == d|e^f&g<<h+i*-"
        depth = 0
        frame = sys._getframe()
        while frame := frame.f_back:
            depth += 1
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(depth + 420)
        try:
            for opening in (
                "abs(",
                "a in (",
                "a|(",
                "a and (a < (",
                "(" * 9 + "a or b and not c == d|e^f&g<<h+i*-",
            ):
                refused(opening * (MAX_LENGTH // len(opening)))
            half = "(" * (MAX_NESTING - 1)
            refused(half + "abs(" + every * 8)
            refused(half + "-" * 70 + "abs(")
        finally:
            sys.setrecursionlimit(before)

    def test_choices(self) -> None:
        tree = parse(f"x in ({','.join('1' * MAX_CHOICES)})")
        assert len(tree.choices) == MAX_CHOICES == FUNCTIONS["has"][1]
        error = refused(f"x in ({','.join('1' * (MAX_CHOICES + 1))})")
        assert str(error).endswith("there are more than 16384 values in these parentheses")
        assert error.at == len("x in (") + 2 * MAX_CHOICES

    def test_chains_in_chains_do_not_explode(self) -> None:
        """What stands in the middle is in the tree twice."""
        inner, outer = "1<(" * 12, ")<2" * 12
        assert sum(1 for _ in walk(parse(f"{inner}a{outer}"))) > 2**12
        for height in (14, 30):
            error = refused("1<(" * height + "a" + ")<2" * height)
            assert str(error).endswith("these chains of comparisons are too many in one another; use and")


PIECES = ["(", ")", "-", "+a", "not ", "a+", "a<", "[", "]", "{", "'", '"', "`", "``", "1", "0x", "0b1", "0"]
PIECES += [
    ".",
    ".5",
    "\0",
    "\ud800",
    "\U0010ffff",
    "a.",
    "a[0]",
    "a[",
    "1_",
    "1e",
    "1e+",
    "1.",
    "_",
    "\\",
    "'\\",
]
PIECES += [
    "1s",
    "1s.",
    "abs(",
    "x in (",
    "x in",
    "a,",
    "a<(",
    "1<(a<",
    "a and(",
    "a or b and(",
    "=",
    "&&",
    "\n",
]
PIECES += ["é", "\u0663", "\xb2"]


class TestHostileTexts:
    """No text at all does anything but give a tree or an `ExpressionError`."""

    @pytest.mark.parametrize("piece", PIECES)
    def test_one_piece_over_and_over(self, piece: str) -> None:
        for begin in ("", "'", "a "):
            judged((begin + piece * MAX_LENGTH)[: MAX_LENGTH if begin == "" else 2000])

    def test_random_bytes(self) -> None:
        source = random.Random(20260923)
        for _ in range(2000):
            raw = source.randbytes(source.randrange(1, 60))
            judged(raw.decode("ascii", "surrogateescape"))
            judged("a < " + raw.decode("latin-1"))

    def test_damaged_expressions(self) -> None:
        """Every beginning of one, and one with any character changed."""
        source = random.Random(20260924)
        good = "hr<0 and not(dw&0x80 or m[2].pos>1.5)and `in` in(A,'\\u00e9',1h30min)or has(f,B)<.5e-3"
        assert judged(good) is None
        marks = "".join(map(chr, range(128))) + "\xb5\xa0\udc80"
        for place in range(len(good)):
            judged(good[:place])
            for mark in source.sample(marks, 30):
                judged(good[:place] + mark + good[place + 1 :])
