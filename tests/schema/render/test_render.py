"""The forms of a schema, by name."""

from __future__ import annotations

import pytest

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.render import FORMS

SCHEMA = Schema.from_dtype([("a", "<i4")])


def test_every_form_ends_its_last_line() -> None:
    for form in FORMS:
        text = SCHEMA.to(form)
        assert text.endswith("\n") and not text.endswith("\n\n")
        assert SCHEMA.digest in text or form == "json"


def test_json_is_the_schema() -> None:
    assert SCHEMA.to("json") == SCHEMA.to_json() + "\n"
    assert Schema.from_json(SCHEMA.to("json")) == SCHEMA


@pytest.mark.parametrize(
    ("form", "near"), [("ctype", "did you mean 'ctypes'"), ("ros", "there is 'c'"), (None, "there is 'c'")]
)
def test_a_form_that_does_not_exist(form: object, near: str) -> None:
    with pytest.raises(SchemaError, match=near):
        SCHEMA.to(form)
