"""Comments become the docs of the fields they stand next to."""

from __future__ import annotations

from fastrec.schema import Schema

TEXT = """
/* About the struct. */
struct s {
    // Before a,
    // in two lines.
    int a;
    int b; /* behind b */
    int c; ///< behind c
    /** @brief Before d.
     *  Goes on.
     */
    int d, e; // of both
    int f;

    // Far away.

    int g;
    int h;   // behind h
             // and on
    int i;
    int j, /* of j */
        k; /* of k */
    /* of l */ int l;
    int m;
    /**< behind m */
    int n;
};
"""


def test_a_comment_belongs_to_its_neighbour() -> None:
    docs = {field.name: field.doc for field in Schema.from_c(TEXT).fields}
    assert docs == {
        "a": "Before a, in two lines.",
        "b": "behind b",
        "c": "behind c",
        "d": "Before d. Goes on.",
        "e": "of both",
        "f": "",
        "g": "",
        "h": "behind h and on",
        "i": "",
        "j": "of j",
        "k": "of k",
        "l": "of l",
        "m": "",
        "n": "",
    }
