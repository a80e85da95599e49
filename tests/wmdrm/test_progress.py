"""Progress: per record and per round trip, past the point where 32 bits overflow, without a total."""

from __future__ import annotations

import numpy as np
import pytest

from fastrec.wmdrm import RoundTrip, progress, schema

CONNECTING, REQUESTING, RECEIVING, COMPLETED = 1, 2, 3, 4


def records(*rows: tuple[int, int, int, int]) -> np.ndarray:
    """Rows of (completed round trips, HTTP status, progress, total)."""
    array = np.zeros(len(rows), dtype=schema().dtype)
    for row, (request, http, done, total) in zip(array, rows, strict=True):
        row["dwHTTPRequest"], row["enHTTPStatus"] = request, http
        row["dwHTTPReadProgress"], row["dwHTTPReadTotal"] = done, total
    return array


RUN = records(
    (0, 0, 0, 0),
    (0, CONNECTING, 0, 0),
    (0, RECEIVING, 0, 100),
    (0, RECEIVING, 100, 100),
    (1, COMPLETED, 100, 100),
    (1, CONNECTING, 0, 0),
    (1, REQUESTING, 0, 0),
    (1, RECEIVING, 0, 4000),
    (1, RECEIVING, 1000, 4000),
)


class TestFraction:
    def test_per_record(self) -> None:
        expected = [np.nan, np.nan, 0, 1, 1, np.nan, np.nan, 0, 0.25]
        np.testing.assert_array_equal(progress(RUN).fraction, expected)
        assert progress(RUN).fraction.dtype == np.float64

    @pytest.mark.parametrize("total", [42_949_672, 42_949_673, 85_899_346, 2**31, 2**32 - 1])
    def test_right_where_32_bits_overflow(self, total: int) -> None:
        rows = records((0, RECEIVING, total // 2, total), (0, RECEIVING, total, total))
        half, full = progress(rows).fraction
        assert half == (total // 2) / total
        assert full == 1.0

    def test_more_than_the_total_is_all_of_it(self) -> None:
        over = progress(records((0, RECEIVING, 5, 4)))
        assert over.fraction.tolist() == [1.0]
        assert over.round_trips == (RoundTrip(1, 1.0, 5, 4, 0, 1),)

    def test_nothing(self) -> None:
        empty = progress(records())
        assert len(empty.fraction) == 0
        assert empty.round_trips == ()

    def test_one_record(self) -> None:
        assert progress(RUN[-1]).fraction.tolist() == [0.25]
        assert progress(RUN[-1]).round_trips == (RoundTrip(2, 0.25, 1000, 4000, 0, 1),)

    def test_mapping_of_columns(self) -> None:
        columns = {name: RUN[name] for name in RUN.dtype.names}
        np.testing.assert_array_equal(progress(columns).fraction, progress(RUN).fraction)

    def test_layout_of_32_bits(self) -> None:
        array = np.zeros(1, dtype=schema(32).dtype)
        array["enHTTPStatus"], array["dwHTTPReadProgress"], array["dwHTTPReadTotal"] = RECEIVING, 1, 2
        assert progress(array).fraction.tolist() == [0.5]


class TestRoundTrips:
    def test_as_their_last_record_left_them(self) -> None:
        assert progress(RUN).round_trips == (
            RoundTrip(1, 1.0, 100, 100, 1, 5),
            RoundTrip(2, 0.25, 1000, 4000, 5, 9),
        )

    def test_none_while_the_total_is_0(self) -> None:
        for row in ((0, RECEIVING, 700, 0), (0, CONNECTING, 0, 0)):
            (only,) = progress(records(row)).round_trips
            assert only.fraction is None
            assert only.progress == row[2]

    def test_completion_that_no_record_shows(self) -> None:
        seen = progress(records((0, RECEIVING, 90, 100), (1, CONNECTING, 0, 0), (1, RECEIVING, 1, 10)))
        assert [(trip.number, trip.fraction) for trip in seen.round_trips] == [(1, 0.9), (2, 0.1)]

    def test_what_follows_the_download_belongs_to_it(self) -> None:
        seen = progress(records((1, RECEIVING, 10, 10), (2, COMPLETED, 10, 10), (2, COMPLETED, 10, 10)))
        assert seen.round_trips == (RoundTrip(2, 1.0, 10, 10, 0, 3),)

    def test_second_run_counts_anew(self) -> None:
        twice = np.concatenate([RUN, RUN])
        assert [trip.number for trip in progress(twice).round_trips] == [1, 2, 1, 2]
        assert [trip.first for trip in progress(twice).round_trips] == [1, 5, 10, 14]
