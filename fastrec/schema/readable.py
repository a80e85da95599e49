"""Values of a field as people read them: label names, physical values, this machine's byte order."""

from __future__ import annotations

import numpy as np

from fastrec.schema.field import Field

__all__ = ["is_scaled", "native", "parts_of", "physical", "readable", "words"]


def native(values: np.ndarray) -> np.ndarray:
    """The same values in this machine's byte order; most libraries refuse any other."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def is_scaled(field: Field) -> bool:
    """Whether the physical value of a field is not its raw one."""
    return field.scale != 1.0 or field.bias != 0.0


def physical(field: Field, raw: np.ndarray) -> np.ndarray:
    """``raw * scale + bias``; of whole numbers of tenths, hundredths ... the float64 nearest to it.

    Returns
    -------
    ndarray
        float64 (complex128 for complex fields), or the raw values in native byte order if the field has no
        scale.
    """
    if not is_scaled(field) or raw.dtype.kind not in "biufc":
        return native(raw)
    wide = raw.astype(np.complex128 if raw.dtype.kind == "c" else np.float64)
    if parts := parts_of(field):
        return (wide + parts[0]) / parts[1]
    with np.errstate(over="ignore", invalid="ignore"):  # a scale from a file may lead anywhere
        return wide * field.scale + field.bias


def parts_of(field: Field) -> tuple[int, int] | None:
    """Whole numbers (moved, parts), where the physical value is ``(raw + moved) / parts``; None: it is not.

    3 * 0.1 is not the float that 0.3 is, but 3 / 10 is.
    """
    parts = round(1 / field.scale) if 1e-15 < abs(field.scale) < 1 else 0
    if not parts or 1 / parts != field.scale or field.dtype.kind not in "iu":
        return None
    moved = round(field.bias * parts) if abs(field.bias) < 1e15 else 0
    return (moved, parts) if moved / parts == field.bias and abs(moved) < 1 << 52 else None


def words(field: Field, raw: np.ndarray) -> np.ndarray:
    """Raw values as the labels of a field take them: where these name bits, a bit-field has no sign."""
    if field.bits is None or field.labels is None or not field.labels.of_words:
        return raw
    return raw.view(f"u{raw.dtype.itemsize}") & ((1 << field.bits[1]) - 1)


def readable(field: Field, raw: np.ndarray) -> np.ndarray:
    """Label names where the field has labels, else physical values. Ids of texts stay ids.

    Parameters
    ----------
    field : Field
    raw : ndarray, shape (n, *field.shape)

    Returns
    -------
    ndarray of the same shape
        str objects for labels, float64 for scaled fields, else the raw values in native byte order.
    """
    return field.labels.names(words(field, raw)) if field.labels is not None else physical(field, raw)
