"""Comments next to members are their docs."""

from __future__ import annotations

import pytest

from fastrec.schema import Schema


def docs(body: str) -> dict[str, str]:
    """By name, of a struct of such a body."""
    schema = Schema.from_c(f"struct s {{{body}\n}};", "s")
    return {field.name: field.doc for field in schema.fields}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("int a; // behind\n int b;", {"a": "behind", "b": ""}),
        ("int a; /* behind */\n int b;", {"a": "behind", "b": ""}),
        ("int a; /**< behind */ int b;", {"a": "behind", "b": ""}),
        ("int a; ///< behind\n int b;", {"a": "behind", "b": ""}),
        ("int a; //!< behind\n int b;", {"a": "behind", "b": ""}),
        ("int a; /*!< behind */\n int b;", {"a": "behind", "b": ""}),
        ("\n// before\nint a;\nint b;", {"a": "before", "b": ""}),
        ("\n/* before */\nint a;\nint b;", {"a": "before", "b": ""}),
        ("\n/** before */ int a;\nint b;", {"a": "before", "b": ""}),
        ("\n/// one\n/// two\nint a;", {"a": "one two"}),
        ("\n/**\n * @brief one\n * two\n */\nint a;", {"a": "one two"}),
        ("\n/**\n * \\brief one\n */\nint a;", {"a": "one"}),
        ("\n/* far */\n\nint a;", {"a": ""}),
        ("\nint a;\n// of b\nint b; // of b too", {"a": "", "b": "of b too"}),
        ("\nint a; // one\n       // two\nint b;", {"a": "one two", "b": ""}),
        ("\nint a; // one\n// of b\nint b;", {"a": "one", "b": "of b"}),
        ("\nint a; ///< one\n  ///< two\nint b;", {"a": "one two", "b": ""}),
        ("\nint a, // of a\n    b; // of b", {"a": "of a", "b": "of b"}),
        ("\n// both?\nint a, b;", {"a": "both?", "b": ""}),
        ("int a /* within */;", {"a": ""}),
        ("\nint a : 3; // bits\nint b : 5; /* more */", {"a": "bits", "b": "more"}),
        ("\nint a[3]; // cells", {"a": "cells"}),
        ("\nint a; // grün \u2264 5", {"a": "grün \u2264 5"}),
        ("\nint a; /* 2 * 3 ** 4 */", {"a": "2 * 3 ** 4"}),
        ("\nint a; // http://x.y/*z", {"a": "http://x.y/*z"}),
        ("\n#define X 1 // of X\nint a;", {"a": ""}),
        ("\nint a;\n#define X 1 // of X\nint b;", {"a": "", "b": ""}),
        ("\n// of a\n#if 1\nint a;\n#endif\n", {"a": ""}),
        ("\n#if 0\n// gone\nint a;\n#else\n// here\nint b;\n#endif\n", {"b": "here"}),
        ("\r\nint a; // one\r\n/* of b\r\n * still */\r\nint b;\r\n", {"a": "one", "b": "of b still"}),
        ("\nint a; //\nint b; /**/", {"a": "", "b": ""}),
        ("\n/********/\n/* title */\n/********/\nint a;", {"a": "title"}),
        ("\n/* of both */\nstruct { int x; // of x\n} in;", {"in.x": "of x"}),
    ],
)
def test_docs_are_the_comments_one_expects(body: str, expected: dict[str, str]) -> None:
    assert docs(body) == expected


def test_a_comment_before_the_struct_is_not_of_its_first_member() -> None:
    assert Schema.from_c("/* of s */\nstruct s { int a; };").fields[0].doc == ""
    assert Schema.from_c("struct s { // of s\nint a; };").fields[0].doc == ""


def test_docs_are_bounded() -> None:
    text = "struct s { int a; // " + "x" * 100_000 + "\n};"
    assert len(Schema.from_c(text).fields[0].doc) <= 65536


def test_docs_do_not_change_what_a_struct_is() -> None:
    assert (
        Schema.from_c("struct s { int a; /* x */ };").digest == Schema.from_c("struct s { int a; };").digest
    )
