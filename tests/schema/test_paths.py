from __future__ import annotations

import time

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.schema.paths import indices, of_all, split, walk

ROWS = np.zeros(5, [("a", "<i4", (2, 3)), ("b", [("x", "<f8"), ("y", "u1", (4,))], (2,)), ("c", "S4")])


@pytest.mark.parametrize(
    ("path", "whole", "index"),
    [
        ("a", "a", ()),
        ("a[3]", "a", (3,)),
        ("a[0][12]", "a", (0, 12)),
        ("b[1].y[2]", "b[1].y", (2,)),
        ("b[1].x", "b[1].x", ()),
        ("[1]", "[1]", ()),
        ("a[-1]", "a[-1]", ()),
        ("a[1", "a[1", ()),
        ("a[123456]", "a[123456]", ()),
        ("a[٣]", "a[٣]", ()),
        ("", "", ()),
    ],
)
def test_an_index_at_the_end(path: str, whole: str, index: tuple[int, ...]) -> None:
    assert split(path) == (whole, index)


def test_all_of_many() -> None:
    assert of_all("b[1].y[2]") == "b.y" and indices("b[1].y[2]") == (1, 2)
    assert of_all("b.x") == "b.x" and indices("b.x") == ()


@pytest.mark.parametrize("text", ["[1]" * 300_000 + "x", "a[" * 400_000, "a[1]." * 200_000])
def test_a_long_text_is_split_at_once(text: str) -> None:
    start = time.process_time()
    assert split(text) == (text, ())
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("a", (5, 2, 3)),
        ("a[1]", (5, 3)),
        ("a[1][2]", (5,)),
        ("b", (5, 2)),
        ("b[0]", (5,)),
        ("b.x", (5, 2)),
        ("b.y", (5, 2, 4)),
        ("b.y[3]", (5, 2)),
        ("b[1].y[3]", (5,)),
        ("c", (5,)),
    ],
)
def test_a_part_of_every_row(path: str, shape: tuple[int, ...]) -> None:
    part = walk(ROWS, path)
    assert part.shape == shape and np.shares_memory(part, ROWS)


@pytest.mark.parametrize("path", ["", "d", "a.x", "b.z", "b.", ".b", "b..x", "c.x", "a[x]", "a]", "[0]"])
def test_no_part(path: str) -> None:
    assert walk(ROWS, path) is None


@pytest.mark.parametrize("path", ["a[2]", "a[0][3]", "a[0][0][0]", "b[2].x", "b.y[4]", "c[0]"])
def test_an_index_outside(path: str) -> None:
    with pytest.raises(SchemaError, match=r"has shape .*index within it"):
        walk(ROWS, path)
