"""dtypes as Python: executed, and compared."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from schemas import schemas

from fastrec.schema import Schema


@given(schema=schemas())
@settings(max_examples=100, deadline=None)
def test_the_dtype_is_the_schemas(schema: Schema) -> None:
    names: dict[str, Any] = {}
    exec(schema.to("numpy"), names)
    dtype = names["dtype"]
    assert dtype == schema.dtype
    assert (dtype.itemsize, repr(dtype)) == (schema.size, repr(schema.dtype))
    assert names.get("DOCS", {}) == {field.name: field.doc for field in schema.fields if field.doc}
    assert names.get("LABELS", {}) == {
        field.name: dict(field.labels.enumerators) for field in schema.fields if field.labels
    }
