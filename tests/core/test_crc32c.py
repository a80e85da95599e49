"""CRC-32C: the instruction and the table agree with a library of another hand."""

from __future__ import annotations

from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from programs import build, run, seeded

from fastrec.core.crc32c import crc32c, crc32c_portable


@pytest.mark.parametrize("compute", [crc32c, crc32c_portable])
def test_check_value(compute) -> None:
    """RFC 3720, appendix B.4."""
    assert compute(b"123456789") == 0xE3069283
    assert compute(b"") == 0


@pytest.mark.parametrize("compute", [crc32c, crc32c_portable])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 64, 1000, 3071, 3072, 3073, 9215, 9216, 40_967])
def test_any_length_continued_from_any_value(compute, size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    for value in (0, 1, 0xFFFFFFFF, 0xDEADBEEF):
        assert compute(data, value) == google_crc32c.extend(value, data)
        assert compute(data[size // 2 :], compute(data[: size // 2], value)) == compute(data, value)


@pytest.mark.once
def test_products_bit_by_bit(tmp_path: Path) -> None:
    """A processor may have an instruction for the checksum and none for the product."""
    assert run(build(tmp_path, "crc_shift.c")).returncode == 0


@pytest.mark.once
def test_the_test_of_the_products_can_fail(tmp_path: Path) -> None:
    include = seeded(tmp_path, "crc32c.h", "for (i = 0; i < 32; i++)", "for (i = 0; i < 31; i++)")
    assert run(build(tmp_path, "crc_shift.c", include=include)).returncode == 1
