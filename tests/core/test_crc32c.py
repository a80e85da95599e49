"""CRC-32C: the instruction and the table agree with a library of another hand."""

from __future__ import annotations

import platform
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
@pytest.mark.parametrize(
    "size", [1, 7, 8, 9, 63, 64, 1000, 3071, 3072, 3073, 3967, 3968, 3969, 9215, 9216, 40_967]
)
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


@pytest.mark.once
@pytest.mark.parametrize("flags", [(), ("-DFR_WIDE_HAS()=0",)], ids=["wide", "narrow"])
def test_each_way_of_a_processor(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Whatever this one can do, the others' ways are tried, too; none of them reads a byte too many."""
    address = "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"
    done = run(build(tmp_path, "crc_ways.c", *address, *flags))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    if platform.machine() == "x86_64":
        cpu = Path("/proc/cpuinfo").read_text()
        assert done.stdout == f"wide={int(not flags and 'vpclmulqdq' in cpu and 'avx2' in cpu)}\n"


@pytest.mark.once
@pytest.mark.skipif("vpclmulqdq" not in Path("/proc/cpuinfo").read_text(), reason="no products of 256 bits")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0x6992CEA2, 0x0D3B6092", "0x6992CEA2, 0x0D3B6093"),
        ("0x740EEF02, 0x9E4ADDF8", "0x740EEF03, 0x9E4ADDF8"),
        ("0x3DA6D0CB, 0xBA4FC28E", "0x3DA6D0CB, 0xBA4FC28F"),
        ("0xF20C0DFE, 0x493C7D27", "0xF20C0DFF, 0x493C7D27"),
        ("0xC776B648", "0xC776B649"),
        ("0xF48642E9", "0xF48642E8"),
        ("0xDD66CBBB", "0xDD66CBBA"),
        ("0x6B749FB2", "0x6B749FB3"),
    ],
)
def test_each_factor_counts(tmp_path: Path, before: str, after: str) -> None:
    include = seeded(tmp_path, "crc32c_wide.h", before, after)
    assert run(build(tmp_path, "crc_ways.c", include=include)).returncode == 1
