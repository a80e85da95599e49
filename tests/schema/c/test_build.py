"""From a struct of C to the fields of a schema, and what declarations say of them."""

from __future__ import annotations

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, Enumeration, Schema

TEXT = """
enum mode { OFF, ON = 5 };
typedef int HRESULT;
struct point { int x; /* across */ enum mode mode; HRESULT hr[2]; };
struct status {
    struct point home; // where it starts
    struct point cells[2][2];
    struct {
        unsigned low : 4;  // the lower half
        enum mode state : 4;
        union { char letter; /* one */ struct { short deep; /* below */ }; };
    };
    unsigned : 7;
    enum mode modes[3]; // all of them
    char lines[3][5];
    const char *address;
    struct point rest[];
};
"""


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema.from_c(TEXT, "status")


def test_fields_are_the_leaves_in_order(schema: Schema) -> None:
    points = ["home", "cells[0][0]", "cells[0][1]", "cells[1][0]", "cells[1][1]"]
    below = [f"{point}.{leaf}" for point in points for leaf in ("x", "mode", "hr")]
    others = ["low", "state", "letter", "deep", "modes", "lines", "address"]
    assert [field.name for field in schema.fields] == below + sorted(
        others, key=lambda name: (schema.field(name).offset, others.index(name))
    )
    # The flexible member at the end has no bytes, nor has padding a name.
    assert schema.size == 128


def test_labels_are_those_of_the_type_everywhere(schema: Schema) -> None:
    labels = Enumeration({"OFF": 0, "ON": 5})
    having = {field.name for field in schema.fields if field.labels == labels}
    points = ["home", "cells[0][0]", "cells[0][1]", "cells[1][0]", "cells[1][1]"]
    assert having == {f"{point}.mode" for point in points} | {"state", "modes"}
    hresults = {field.name for field in schema.fields if field.labels is HRESULT}
    assert hresults == {f"{point}.hr" for point in points}


def test_docs_are_those_of_their_member(schema: Schema) -> None:
    docs = {field.name: field.doc for field in schema.fields if field.doc}
    points = ["home", "cells[0][0]", "cells[0][1]", "cells[1][0]", "cells[1][1]"]
    assert docs == {f"{point}.x": "across" for point in points} | {
        "low": "the lower half",
        "letter": "one",
        "deep": "below",
        "modes": "all of them",
    }


def test_an_array_of_plain_char_is_a_text(schema: Schema) -> None:
    lines = schema.field("lines")
    assert (lines.dtype, lines.shape) == (np.dtype("S5"), (3,))
    assert (schema.field("letter").dtype, schema.field("letter").shape) == (np.dtype("S1"), ())
    signed = Schema.from_c("struct s { signed char c[3]; unsigned char u[3]; };")
    assert [(field.dtype.str, field.shape) for field in signed.fields] == [("|i1", (3,)), ("|u1", (3,))]


def test_an_address_is_known_as_one(schema: Schema) -> None:
    assert [field.name for field in schema.fields if field.pointer] == ["address"]
    wide = Schema.from_c("struct s { void *v; LPWSTR w; uintptr_t u; };", abi="msvc-x64")
    assert [field.pointer for field in wide.fields] == [True, "utf-16", False]


def test_types_of_one_name_are_kept_apart() -> None:
    # In C a tag that is declared in a struct is one of the whole file; anonymous structs have none.
    schema = Schema.from_c("struct s { struct { char a; } x; struct { double a; } y; };")
    assert [(field.name, field.dtype.str) for field in schema.fields] == [("x.a", "|S1"), ("y.a", "<f8")]


def test_nesting_has_an_end() -> None:
    def nested(depth: int) -> str:
        return "".join(
            f"struct d{i} {{ {f'struct d{i - 1} s' if i else 'int i'}; }};\n" for i in range(depth)
        )

    assert Schema.from_c(nested(16), "d15").size == 4
    with pytest.raises(SchemaError, match="nested deeper than 16; flatten some"):
        Schema.from_c(nested(17), "d16")


def test_fields_are_counted_before_they_are_made() -> None:
    text = "struct a { char x; char y; };" + "".join(
        f"struct {chr(98 + i)} {{ struct {chr(97 + i)} m[40]; }};" for i in range(2)
    )
    with pytest.raises(SchemaError, match="at most 1024 are possible"):
        Schema.from_c(text, "c")
