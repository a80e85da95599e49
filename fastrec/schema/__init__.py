"""What bytes mean: fields, types, labels, units, causes of loss. Of fastrec it imports the errors alone."""

from fastrec.schema.hresult import HRESULT, HResult
from fastrec.schema.labels import (
    Enumeration,
    Flags,
    Labels,
    Masked,
    as_labels,
    labels_from_json,
    register_kind,
)
from fastrec.schema.model import Field, Schema
from fastrec.schema.texts import LOST

__all__ = [
    "HRESULT",
    "LOST",
    "Enumeration",
    "Field",
    "Flags",
    "HResult",
    "Labels",
    "Masked",
    "Schema",
    "as_labels",
    "labels_from_json",
]

# Registered here, because labels.py cannot import hresult.py, which builds on it.
register_kind("hresult", lambda obj: HRESULT)
