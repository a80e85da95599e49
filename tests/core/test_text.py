"""Texts behind pointers: what is read, how it is kept, and that no memory is touched that is not there."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from programs import build, run, seeded, some_now

from fastrec.core.ring import read_text

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
MOST = 4096


def read(content: bytes, unit: int, odd: int = 0) -> str | None:
    """What is read where `content` stands, `odd` bytes behind an aligned address."""
    memory = ctypes.create_string_buffer(b"\1" * odd + content, odd + len(content) or 1)
    kept = read_text(ctypes.addressof(memory) + odd, unit)
    return None if kept is None else kept.decode("utf-8", "surrogateescape")


def values(text: str) -> Iterator[int]:
    """The values that a text was made of, by the pattern of UTF-8 alone, whatever they are."""
    kept = iter(text.encode("utf-8", "surrogateescape"))
    for first in kept:
        length = (0xFF ^ first).bit_length()
        count = 8 - length if first & 0x80 else 1
        value = first & (0x7F >> count) if count > 1 else first
        for _ in range(count - 1):
            following = next(kept)
            assert following >> 6 == 0b10
            value = value << 6 | following & 0x3F
        yield value


def units(size: int) -> st.SearchStrategy[list[int]]:
    """Code units without zero, near all the borders of UTF-8 and UTF-16."""
    borders = [0x7F, 0x80, 0x7FF, 0x800, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xFFFF, 0x10000, 0x10FFFF, 0x110000]
    borders += [0x1FFFFF, 0x200000, 0x3FFFFFF, 0x4000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    most = (1 << 8 * size) - 1
    return st.lists(
        st.sampled_from([one for one in borders if one <= most]) | st.integers(1, most), max_size=40
    )


def as_bytes(found: Sequence[int], size: int) -> bytes:
    return b"".join(one.to_bytes(size, "little") for one in found)


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 7),
)
@example("\U0001f600" * 60, 2, 1)
def test_characters_are_those_of_python(text: str, unit: int, odd: int) -> None:
    encoding = {1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}[unit]
    assert read(text.encode(encoding) + bytes(unit), unit, odd) == text


@given(units(2))
@example([0xD83D, 0xDE00])
@example([0xDE00, 0xD83D])
@example([0xD83D])
def test_lone_surrogates_of_utf_16_come_back(found: list[int]) -> None:
    """They are read as the escapes of their bytes, and Python's own codecs lead back to them."""
    content = as_bytes(found, 2)
    text = read(content + b"\0\0", 2)
    back = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogatepass")
    assert back == content.decode("utf-16-le", "surrogatepass")
    assert back.encode("utf-16-le", "surrogatepass") == content


@given(units(4))
@example([0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x110000, 0xD800])
def test_no_value_of_utf_32_is_lost(found: list[int]) -> None:
    text = read(as_bytes(found, 4) + bytes(4), 4)
    assert list(values(text)) == found
    if all(one < 0x110000 for one in found):
        back = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogatepass")
        assert list(map(ord, back)) == found


@given(st.binary(max_size=60).map(lambda content: content.replace(b"\0", b"")))
def test_any_bytes_come_back(content: bytes) -> None:
    assert read(content + b"\0", 1).encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize("odd", [0, 1, 3])
@pytest.mark.parametrize("unit", [1, 2, 4])
def test_cut_between_units(unit: int, odd: int) -> None:
    letters = [0x61 + i % 26 for i in range(MOST // unit + 50)]
    assert read(as_bytes(letters, unit), unit, odd) == bytes(letters[: MOST // unit]).decode()


@pytest.mark.parametrize("unit", [1, 2, 4])
@pytest.mark.parametrize(
    "address", [0, 1, 2, 4095, 1 << 47, 1 << 63, 0xFFFF_FFFF_8100_0000, (1 << 64) - 1, (1 << 64) - 2]
)
def test_no_address_is_a_fault(address: int, unit: int) -> None:
    assert read_text(address, unit) is None


@pytest.mark.parametrize("unit", [1, 2, 4])
def test_memory_that_may_not_be_read(unit: int) -> None:
    """A page without rights, and one that was given back."""
    libc = ctypes.CDLL(None, use_errno=True)
    page = mmap.mmap(-1, mmap.PAGESIZE)
    view = ctypes.c_char.from_buffer(page)
    address = ctypes.addressof(view)
    page[:8] = b"a\0\0\0\0\0\0\0"
    assert read_text(address, unit) == b"a"
    for rights, expected in ((0, None), (mmap.PROT_READ, b"a"), (0, None)):
        assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), rights) == 0
        assert read_text(address, unit) == expected
    del view
    page.close()
    assert read_text(address, unit) is None


def test_at_the_edges_of_memory_buffers_and_table(tmp_path: Path) -> None:
    """Under sanitizers: `text.c` says what it does."""
    result = run(build(tmp_path, "text.c", *SANITIZERS))
    assert (result.returncode, result.stdout) == (0, ""), result.stderr[-2000:]


@pytest.mark.parametrize(
    ("before", "after"),
    some_now(
        [
            ("(FR_TEXT_MAX / 4 * 7)", "6144"),
            ("at + unit <= size &&", "at < size &&"),
            ("if (end + unit <= done)", "if (end < done)"),
            ("if (*length > FR_TEXT_ROOM ||", "if (*length > FR_TEXT_MAX ||"),
            ("if (++probes == FR_TEXT_PROBES)", "if (++probes == FR_TEXT_IDS)"),
            ("#define FR_TEXT_PROBES 128", "#define FR_TEXT_PROBES 24"),
            ("t->count == FR_TEXT_IDS ||", "t->count > FR_TEXT_IDS ||"),
            ("t->used + size > t->view", "t->used > t->view"),
            ("n = strnlen(text, FR_TEXT_MAX);", "n = FR_TEXT_MAX;"),
            ("while (n < FR_TEXT_MAX && fr", "while (fr"),
        ]
    ),
)
def test_a_seeded_bug_shows(tmp_path: Path, before: str, after: str) -> None:
    mutant = build(tmp_path, "text.c", *SANITIZERS, include=seeded(tmp_path, "text.h", before, after))
    assert run(mutant).returncode != 0
