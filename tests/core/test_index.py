"""Rows of an index against plain Python: what they may claim, and where among them a value is."""

from __future__ import annotations

import bisect
import errno
import os
import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.core.index import prove, search, survey
from fastrec.core.outline import Ends

ROW = struct.Struct("<QqqQQQIIII")
BLOCK, LIMIT = 1024, 1 << 62
BASE = 4711
MEMBERS = {"first_seq": 0, "t_min": 8, "t_max": 16, "durable_seq": 24, "gap_rows": 32, "string_bytes": 40}


def packed(
    first: int = 0,
    rows: int = 1,
    gaps: int = 0,
    texts: int = 0,
    times: tuple[int, int] = (0, 0),
    flags: int = 0,
) -> bytes:
    return ROW.pack(first, *times, 0, gaps, texts, rows, 0, flags, 0)


def plainly(
    claims: list[tuple[int, int, int, int]],
    row: int,
    end: int,
    gaps: int,
    texts: int,
    most: int,
    numbers: int,
) -> tuple[list[int], int]:
    """Where each block begins, up to the first that claims what cannot be, and the rule that it breaks."""
    at = []
    for first, rows, gap_rows, string_bytes in claims:
        broken = [
            rows > BLOCK,
            rows > 0 and row // BLOCK != (row + rows - 1) // BLOCK,
            first + rows >= numbers,
            first < end,
            row + rows > most,
            gap_rows < gaps,
            string_bytes < texts,
        ]
        if any(broken):
            return at, broken.index(True)
        at.append(row)
        row, end, gaps, texts = row + rows, first + rows, gap_rows, string_bytes
    return at, -1


def surveyed(
    claims: list[tuple[int, int, int, int]], row: int, *rest: int, spare: bytes = b""
) -> tuple[list[int], int]:
    index = np.frombuffer(b"".join(packed(*claim) for claim in claims) + spare, np.uint8)
    at = np.full(len(claims), row, np.int64)
    count, rule = survey(index, *rest, at)
    return at[:count].tolist(), rule


BIG = [2**32 - 1, 2**62 - 1024, 2**62 - 2, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1025, 2**64 - 1]
NUMBERS = st.one_of(st.integers(0, 40), st.integers(0, 3000), st.sampled_from(BIG), st.integers(0, 2**64 - 1))
COUNTS = st.one_of(
    st.integers(0, 3), st.sampled_from([511, 512, 1023, 1024, 1025, 2**31, 2**32 - 1]), st.integers(0, 1024)
)


@st.composite
def successive(draw: st.DrawFn) -> tuple:
    """Index rows most of which go on from the one before, and what goes before them."""
    row = draw(st.one_of(st.integers(0, 3000), st.sampled_from([1023, 1024, 99_999_999, 2**62])))
    end, gaps, texts = (draw(NUMBERS) for _ in range(3))
    before, claims = (row, end, gaps, texts), []
    for _ in range(draw(st.integers(0, 12))):
        room = BLOCK - row % BLOCK
        first, rows = end + draw(st.sampled_from([0, 0, 0, 1, 7])), draw(st.integers(0, min(room, BLOCK)))
        gaps, texts = gaps + draw(st.integers(0, 2)), texts + draw(st.integers(0, 90))
        claim = [first, rows, gaps, texts]
        if draw(st.integers(0, 5)) == 0:
            place = draw(st.integers(0, 3))
            claim[place] = draw(COUNTS if place == 1 else NUMBERS)
            if draw(st.booleans()):
                claim[place] = max(0, (end, room, gaps, texts)[place] + draw(st.integers(-1, 1)))
        first, rows, gaps, texts = (
            min(one, top)
            for one, top in zip(claim, (2**64 - 1, 2**32 - 1, 2**64 - 1, 2**64 - 1), strict=True)
        )
        claims.append((first, rows, gaps, texts))
        row, end = row + rows, first + rows
    most = draw(
        st.one_of(st.just(100_000_000), st.integers(0, 2 * row), st.sampled_from([row, max(0, row - 1)]))
    )
    return claims, *before, min(most, 2**64 - 1), draw(st.sampled_from([LIMIT, LIMIT, 5_000, 2**64 - 1]))


@settings(max_examples=400)
@given(successive())
def test_claims_are_those_of_plain_python(given_: tuple) -> None:
    claims, row, *rest = given_
    found, rule = surveyed(claims, row, *rest)
    assert (found, rule) == plainly(claims, row, *rest)


@pytest.mark.parametrize(
    ("claim", "rule"),
    [
        ((10, 0, 3, 50), -1),
        ((10, 1024, 3, 50), -1),
        ((99, 1, 4, 2**64 - 1), -1),
        ((10, 1025, 3, 50), 0),
        ((10, 2**32 - 1, 3, 50), 0),
        ((LIMIT - 1, 0, 3, 50), -1),
        ((LIMIT, 0, 3, 50), 2),
        ((LIMIT - 1025, 1024, 3, 50), -1),
        ((LIMIT - 1024, 1024, 3, 50), 2),
        ((2**64 - 1, 1, 3, 50), 2),
        ((2**64 - 1024, 1024, 3, 50), 2),
        ((9, 1, 3, 50), 3),
        ((9, 0, 3, 50), 3),
        ((10, 1, 2, 50), 5),
        ((10, 1, 3, 49), 6),
        ((10, 1, 2, 49), 5),
        ((9, 1025, 0, 0), 0),
        ((9, 5, 0, 0), 3),
    ],
)
def test_a_rule_at_its_border(claim: tuple[int, int, int, int], rule: int) -> None:
    assert surveyed([claim], 2048, 10, 3, 50, 2048 + 1024, LIMIT) == ([2048] if rule < 0 else [], rule)


@pytest.mark.parametrize(
    ("row", "rows", "rule"),
    [(0, 1024, -1), (1, 1023, -1), (1, 1024, 1), (1023, 1, -1), (1023, 2, 1), (1024, 0, -1), (1023, 0, -1)],
)
def test_a_block_lies_between_two_borders(row: int, rows: int, rule: int) -> None:
    assert surveyed([(0, rows, 0, 0)], row, 0, 0, 0, 5_000, LIMIT)[1] == rule


@pytest.mark.parametrize(("claim", "rule"), [((6, 1, 2, 60), 3), ((7, 1, 1, 60), 5), ((7, 1, 2, 59), 6)])
def test_each_row_is_measured_by_the_one_before(claim: tuple[int, int, int, int], rule: int) -> None:
    assert surveyed([(5, 2, 2, 60), (7, 1, 2, 60)], 0, 0, 0, 0, 99, LIMIT) == ([0, 2], -1)
    assert surveyed([(5, 2, 2, 60), claim], 0, 0, 0, 0, 99, LIMIT) == ([0], rule)


def test_records_end_where_their_file_does() -> None:
    for most, rule in ((30, -1), (29, 4), (0, 4)):
        assert surveyed([(5, 30, 0, 0)], 0, 0, 0, 0, most, LIMIT)[1] == rule
    assert surveyed([(5, 0, 0, 0)], 0, 0, 0, 0, 0, LIMIT) == ([0], -1)


def test_only_as_many_rows_as_there_is_room_for() -> None:
    claims = [(0, 4, 0, 0), (4, 4, 0, 0)]
    assert surveyed(claims, 0, 0, 0, 0, 99, LIMIT, spare=b"\xff" * 70) == ([0, 4], -1)
    assert surveyed([], 0, 0, 0, 0, 99, LIMIT) == ([], -1)
    guarded = np.full(4, 7, np.int64)
    guarded[1] = 0
    index = np.frombuffer(packed(0, 4) * 3, np.uint8)
    assert survey(index[:128], 0, 0, 0, 99, LIMIT, guarded[1:3]) == (1, 3)
    assert guarded[[0, 3]].tolist() == [7, 7]


@pytest.mark.parametrize(("size", "begin", "rows"), [(127, 0, 2), (0, 0, 1), (64, -1, 1), (64, -(2**63), 1)])
def test_wrong_arguments_are_refused(size: int, begin: int, rows: int) -> None:
    with pytest.raises(ValueError, match=f"{size} bytes are not {rows} rows"):
        survey(np.zeros(size, np.uint8), 0, 0, 0, 9, 9, np.full(rows, begin, np.int64))


# Searching


def sealed(values: list[int], member: str) -> bytes:
    """An index with these values in a member, and others in all else."""
    made = b""
    for row, value in enumerate(values):
        body = bytearray(struct.pack("<Q", 3 * row + 1) * 7 + struct.pack("<I", row))
        body[MEMBERS[member] : MEMBERS[member] + 8] = (value % 2**64).to_bytes(8, "little")
        seed = google_crc32c.extend(BASE, struct.pack("<Q", row))
        made += bytes(body) + struct.pack("<I", google_crc32c.extend(seed, bytes(body)))
    return made


class File:
    """A file of so many bytes, open."""

    def __init__(self, path: Path, data: bytes, head: bytes = b"h" * 130) -> None:
        path.write_bytes(head + data)
        self.fd, self.offset, self.path = os.open(path, os.O_RDONLY), len(head), path

    def search(self, count: int, member: str, value: int) -> int | None:
        return search(self.fd, self.offset, count, BASE, MEMBERS[member], value)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


EDGES = [-(2**63), -(2**63) + 1, -1, 0, 1, 2**62, 2**63 - 2, 2**63 - 1]


@settings(max_examples=80)
@given(
    st.lists(st.one_of(st.integers(-5, 25), st.sampled_from(EDGES)), max_size=40).map(sorted),
    st.sampled_from(list(MEMBERS)),
)
def test_a_value_is_found_as_by_bisection(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], member: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "searched"
    with File(path, sealed(values, member)) as file:
        wanted = {near for value in values for near in (value - 1, value, value + 1)} | {*EDGES}
        for value in sorted(wanted):
            if -(2**63) <= value < 2**63:
                for count in {len(values), len(values) // 2}:
                    due = bisect.bisect_right(values, value, 0, count)
                    assert file.search(count, member, value) == due


def probed(values: list[int], value: int) -> list[int]:
    """The rows that a bisection looks at."""
    seen: list[int] = []
    bisect.bisect_right(range(len(values)), value, key=lambda row: seen.append(row) or values[row])
    return seen


@pytest.mark.parametrize("byte", [0, 17, 56, 60, 63])
def test_damage_on_the_way_is_told_and_other_damage_not(tmp_path: Path, byte: int) -> None:
    values = list(range(0, 46, 2))
    data = sealed(values, "t_max")
    for damaged in range(len(values)):
        harmed = bytearray(data)
        harmed[damaged * 64 + byte] ^= 0x10
        with File(tmp_path / "index", bytes(harmed)) as file:
            for value in range(-1, 47):
                due = bisect.bisect_right(values, value)
                expected = None if damaged in probed(values, value) else due
                assert file.search(len(values), "t_max", value) == expected


def test_rows_of_another_place_are_none(tmp_path: Path) -> None:
    """A row proves where it is, and of which file."""
    data = sealed([1, 2, 3, 4], "t_min")
    with File(tmp_path / "index", data[64:128] * 4) as file:
        assert file.search(2, "t_min", 2) == 2  # by row 1 alone
        assert file.search(2, "t_min", 0) is None
        assert file.search(4, "t_min", 2) is None
        assert search(file.fd, file.offset, 2, BASE + 1, MEMBERS["t_min"], 2) is None
        assert search(file.fd, file.offset + 1, 2, BASE, MEMBERS["t_min"], 2) is None


def test_a_file_that_ends_before(tmp_path: Path) -> None:
    values = list(range(8))
    with File(tmp_path / "index", sealed(values, "t_max")) as file:
        assert file.search(8, "t_max", 7) == 8
        for lost in (1, 63, 64):
            os.truncate(file.path, file.offset + 8 * 64 - lost)
            assert file.search(8, "t_max", 7) is None
            assert file.search(8, "t_max", 2) == 3
        assert file.search(2**62, "t_max", 2) is None
        assert file.search(2**64 - 1, "t_max", 2) is None
        assert file.search(0, "t_max", 2) == 0


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    closed = os.open(tmp_path, os.O_RDONLY)
    os.close(closed)
    for fd, error in ((folder, errno.EISDIR), (closed, errno.EBADF), (-1, errno.EBADF)):
        with pytest.raises(OSError) as caught:
            search(fd, 0, 5, BASE, 8, 0)
        assert caught.value.errno == error
        assert search(fd, 0, 0, BASE, 8, 0) == 0  # there is nothing to read
    os.close(folder)


def test_members_that_no_row_has(tmp_path: Path) -> None:
    with File(tmp_path / "index", sealed([0], "t_min")) as file:
        assert search(file.fd, file.offset, 1, BASE, 56, 2**63 - 1) in (0, 1)
        for member in (57, 64, 2**64 - 1):
            with pytest.raises(ValueError, match=f"begins at byte {member}"):
                search(file.fd, file.offset, 1, BASE, member, 0)
        for wrong in ((-1, 0), (8, 2**63), (8, -(2**63) - 1)):
            with pytest.raises(OverflowError):
                search(file.fd, file.offset, 1, BASE, *wrong)


def with_sums(rows: bytes, first: int = 0) -> bytes:
    """The rows with their checksums."""
    found = b""
    for number in range(len(rows) // 64):
        row = rows[64 * number : 64 * number + 60]
        crc = google_crc32c.extend(google_crc32c.extend(BASE, struct.pack("<Q", first + number)), row)
        found += row + struct.pack("<I", crc)
    return found


def proved(path: Path, offset: int, count: int, most: int = 10**6) -> tuple[bool, bytes, list[int]]:
    index, at = np.empty(64 * count, np.uint8), np.empty(count, np.int64)
    fd = os.open(path, os.O_RDONLY)
    try:
        whole = prove(fd, offset, BASE, most, LIMIT, index, at)
    finally:
        os.close(fd)
    return whole, index.tobytes(), at.tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 200])
def test_an_index_is_proved_in_one_pass(tmp_path: Path, count: int) -> None:
    """Each row has to be there, whole, and true."""
    rows = with_sums(b"".join(packed(7 + 3 * one, 3, one, 2 * one) for one in range(count)))
    path = tmp_path / "index"
    path.write_bytes(bytes(128) + rows)
    assert proved(path, 128, count) == (True, rows, [3 * one for one in range(count)])
    if count:
        assert (
            proved(path, 128, count, most=3 * count)[0]
            and not proved(path, 128, count, most=3 * count - 1)[0]
        )
    for row in {0, count // 2, count - 1} if count else ():
        for byte in (0, 17, 47, 60, 63):
            harmed = bytearray(rows)
            harmed[64 * row + byte] ^= 4
            path.write_bytes(bytes(128) + harmed)
            assert not proved(path, 128, count)[0]
        for claim in (
            (2, 3, row, 2 * row),
            (7 + 3 * row, 1025, row, 2 * row),
            (7 + 3 * row, 3, 2**40, 2 * row),
        ):
            liar = packed(*claim)
            path.write_bytes(bytes(128) + with_sums(rows[: 64 * row] + liar + rows[64 * (row + 1) :]))
            fits = claim[1] <= BLOCK and (row == count - 1 if claim[2] > row else row == 0)
            assert proved(path, 128, count)[0] == fits
        path.write_bytes(bytes(128) + rows[:-1])
        assert not proved(path, 128, count)[0]


def test_an_index_that_cannot_be_proved(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        prove(folder, 0, BASE, 9, LIMIT, np.empty(64, np.uint8), np.empty(1, np.int64))
    for size in (63, 65, 128):
        with pytest.raises(ValueError, match=f"{size} bytes are not 1 rows"):
            prove(folder, 0, BASE, 9, LIMIT, np.empty(size, np.uint8), np.empty(1, np.int64))
    os.close(folder)


NUMBER = 7
NAMES = {
    "records": "records.000007.npy",
    "index": "index.000007.npy",
    "gaps": "gaps.000007.npy",
    "strings": "strings.000007.jsonl",
}
COUNT = 24  # where the count stands in a header
HEADER = b"H" * COUNT + b"%8d" + b"TAIL"
WIDTH, GAPS = 24, 48


class Files:
    """Files of a segment of two blocks and more, as complete as they say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = [packed(70, 3, 0, 0), packed(73, 4, 1, 5), packed(77, 5, 2, 9)]
        self.count = 3
        self.sizes = {"records": 8 + 12 * WIDTH, "gaps": 8 + 2 * GAPS, "strings": 9}

    def path(self, kind: str) -> Path:
        return self.folder / NAMES[kind]

    def write(self) -> Files:
        for kind in NAMES:
            self.path(kind).unlink(missing_ok=True)
        for kind, size in self.sizes.items():
            self.path(kind).write_bytes(bytes(size))
        self.path("index").write_bytes(HEADER % self.count + with_sums(b"".join(self.rows)))
        return self

    def ends(self, number: int = NUMBER, base: int = BASE, **other: int) -> tuple[bytes, int] | None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        before = len(os.listdir("/proc/self/fd"))
        given = {"header": 8, "width": WIDTH, "gap_header": 8, "gap_width": GAPS}
        try:
            one = Ends(HEADER % 0, **given | {"most": 1000, "numbers": LIMIT} | other)
            return one.of(descriptor, number, base)
        finally:
            assert len(os.listdir("/proc/self/fd")) == before
            os.close(descriptor)


def test_the_ends_of_a_complete_segment(tmp_path: Path) -> None:
    files = Files(tmp_path).write()
    rows = with_sums(b"".join(files.rows))
    assert files.ends() == (rows[:64] + rows[128:], 3)
    assert files.ends(most=12) is not None and files.ends(most=11) is None
    assert files.ends(base=BASE + 1) is None and files.ends(numbers=81) is None
    assert files.ends(numbers=83) is not None and files.ends(number=NUMBER + 1) is None
    files.rows, files.count = [packed(5, 7)], 1
    files.sizes = {"records": 8 + 7 * WIDTH}
    rows = with_sums(files.write().rows[0])
    assert files.ends() == (rows + rows, 1)


def test_records_have_room_for_as_many_as_are_told_and_no_more(tmp_path: Path) -> None:
    files = Files(tmp_path).write()
    whole = files.sizes["records"]
    for size in (0, 7, 8, whole - 1, whole + WIDTH, 2 * whole):
        os.truncate(files.path("records"), size)
        assert files.ends() is None
    for size in (whole, whole + WIDTH - 1):  # a part of a record is none
        os.truncate(files.path("records"), size)
        assert files.ends() is not None


HARM = {
    "records": lambda data, where: data[: where % len(data)],
    "index": lambda data, where: data[: where % len(data)],
    "gaps": lambda data, where: data[:-1],
    "strings": lambda data, where: data[:-1],
}


@pytest.mark.parametrize("kind", HARM)
def test_the_ends_of_a_segment_that_is_not_complete(tmp_path: Path, kind: str) -> None:
    """Cut off anywhere, gone, a link, a folder, a FIFO."""
    files = Files(tmp_path).write()
    path = files.path(kind)
    whole = path.read_bytes()
    for where in range(len(whole)):
        path.write_bytes(HARM[kind](whole, where))
        assert files.ends() is None
    path.write_bytes(whole)
    assert files.ends() is not None
    path.rename(tmp_path / "other")
    for make in (lambda: None, lambda: path.symlink_to("other"), path.mkdir, lambda: os.mkfifo(path)):
        make()
        assert files.ends() is None
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "count", ["3", " 3", "03", "00000003", "3 ", "1 3", "", "x", "-3", "+3", "99999999", "0", "2", "4"]
)
def test_the_count_of_the_header(tmp_path: Path, count: str) -> None:
    files = Files(tmp_path).write()
    path = files.path("index")
    data = bytearray(path.read_bytes())
    data[COUNT : COUNT + 8] = count.rjust(8).encode()
    path.write_bytes(data)
    assert (files.ends() is not None) == (count.lstrip() == "3")
    for byte in (0, COUNT - 1, COUNT + 8, COUNT + 11):
        data[COUNT : COUNT + 8] = b"       3"
        data[byte] ^= 1
        path.write_bytes(data)
        assert files.ends() is None
        data[byte] ^= 1
    path.write_bytes(data)
    assert files.ends() is not None


def test_ends_that_claim_what_cannot_be(tmp_path: Path) -> None:
    files = Files(tmp_path)
    fine = list(files.rows)
    for place, row in (
        (0, packed(70, 1025)),
        (0, packed(69, 3)),
        (0, packed(71, 3)),
        (0, packed(90, 3)),
        (0, packed(70, 8)),
        (2, packed(77, 4, 2, 9)),
        (2, packed(77, 1025, 2, 9)),
        (2, packed(60, 5, 2, 9)),
        (2, packed(2**63, 5, 2, 9)),
        (2, packed(77, 5, 3, 9)),
        (2, packed(77, 5, 2, 10)),
        (2, packed(77, 5, 2**63, 9)),
        (2, packed(77, 5, 2, 2**63)),
    ):
        files.rows = [*fine[:place], row, *fine[place + 1 :]]
        assert files.write().ends() is None, (place, row)
    files.rows = [fine[0], packed(2**40, 1025, 2**40), fine[2]]  # of what lies between nothing is told
    assert files.write().ends() is not None


@pytest.mark.parametrize("wrong", [{"width": 0}, {"gap_width": 0}])
def test_rows_without_bytes(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="rows of"):
        Files(tmp_path).write().ends(**wrong)


@pytest.mark.parametrize("size", [0, COUNT + 7, 1025])
def test_headers_that_no_index_has(size: int) -> None:
    with pytest.raises(ValueError, match=f"no header of {size} bytes"):
        Ends(bytes(size), 8, WIDTH, 8, GAPS, 1000, LIMIT)
