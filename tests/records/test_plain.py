from __future__ import annotations

import numpy as np

from fastrec.records.plain import plain


def test_columns_as_values() -> None:
    assert plain(np.array([1, 2**64 - 1], "<u8")) == [1, 2**64 - 1]
    assert plain(np.array([0.1, np.inf], "<f4")) == [0.1, float("inf")]
    assert plain(np.array([0.1], "<f8")) == [0.1]
    assert plain(np.array([True, False])) == [True, False]
    assert plain(np.array([b"ab\0c", b"\xff"], "S4")) == ["ab", "\udcff"]
    assert plain(np.array([b"\x01\x02"], "V2")) == ["0102"]
    assert plain(np.array([[1, 2], [3, 4]], "<i2")) == [[1, 2], [3, 4]]
    assert plain(np.array([1 + 2j])) == ["1+2j"]
    assert plain(np.array(["RUN", None], object)) == ["RUN", None]
