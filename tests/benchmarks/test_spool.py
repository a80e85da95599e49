"""The benchmark of storing: whatever it times is really checked, our own way and every rival's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import bench_spool, stores
from benchmarks.harness import Bench, BenchmarkError, Claim, Contestant, WrongAnswerError

COUNT = 5000  # more than a batch of the rivals, and not a multiple of it


@pytest.fixture(autouse=True)
def tmp_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests run: the files are theirs."""
    monkeypatch.setattr(stores, "disk", lambda: tmp_path)
    monkeypatch.setattr(stores, "memory_disk", lambda: tmp_path)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = bench_spool.bench(True, count=COUNT, seconds=0.05)
    yield made
    for contestant in contestants(made):
        contestant.close()


def contestants(bench: Bench) -> list[Contestant]:
    return [contestant for case in bench.cases for contestant in (*case.ours, *case.rivals)]


def ran(contestant: Contestant, turn: int) -> None:
    contestant.prepare(turn)
    contestant.run()
    contestant.check()


def test_what_is_stored_is_really_checked(bench: Bench) -> None:
    """A right run passes; another status, another stamp, a record too few, or an old file does not."""
    storing = [one for one in contestants(bench) if isinstance(one, stores.Storing)]
    assert len(storing) == 3 + 3 + 9
    for contestant in storing:
        ran(contestant, 0)
        ran(contestant, 1)
        kept = contestant.records
        for name, row in (("dwHTTPRequest", 4500), ("hr", 0), ("mono_ns", COUNT - 1)):
            contestant.records = kept.copy()
            contestant.records[name][row] += 1
            with pytest.raises(WrongAnswerError):
                contestant.check()
        contestant.records = kept[:-1]
        with pytest.raises(WrongAnswerError):
            contestant.check()

        before = contestant.path.with_name("before")
        contestant.path.rename(before)
        contestant.prepare(2)
        contestant.run()
        contestant.clear()
        before.rename(contestant.path)
        with pytest.raises(WrongAnswerError):
            contestant.check()


def test_a_damaged_recording_is_no_answer(bench: Bench) -> None:
    ours = contestants(bench)[0]
    ran(ours, 1)
    channel = ours.path / "channels" / "status"
    zones = channel / "zones.000000.npy"
    whole = zones.read_bytes()
    zones.write_bytes(whole.replace(b"       4,)", b"       3,)"))
    with pytest.raises(WrongAnswerError, match="3 zones of 4"):
        ours.check()
    zones.write_bytes(whole)
    ours.check()
    ours.turn = 0  # then all of it is verified
    zones.write_bytes(whole[:-3] + b"abc")
    with pytest.raises(WrongAnswerError, match=r"zones\.000000"):
        ours.check()
    zones.write_bytes(whole)
    (ours.path / "closed.json").unlink()
    with pytest.raises(WrongAnswerError, match="unclean"):
        ours.check()


def test_each_rival_makes_what_its_name_says(bench: Bench) -> None:
    for contestant in contestants(bench):
        if isinstance(contestant, stores.Hdf5):
            ran(contestant, 0)
            with contestant.h5py.File(contestant.path) as file:
                assert file["status"].fletcher32 == contestant.checked and file["status"].chunks == (4096,)
        if isinstance(contestant, stores.Storing) and "fsync" in contestant.who:
            assert contestant.durable


def test_megahertz_is_really_checked(bench: Bench) -> None:
    (paced,) = (one for one in contestants(bench) if isinstance(one, bench_spool.Polled))
    paced.prepare(0)
    figures = paced.run()
    paced.check()
    assert figures["records lost"] == 0 and 0 <= figures[f"% of a core, {bench_spool.DRAINING}"] < 100
    paced.calls.value += 1  # as if one call had not been recorded
    with pytest.raises(WrongAnswerError, match="calls"):
        paced.check()
    paced.calls.value -= 1
    paced.first += 1  # as if each record were one too old
    with pytest.raises(WrongAnswerError):
        paced.check()
    paced.first -= 1
    records = paced._store.path / "channels" / "status" / "records.000000.npy"
    index = records.with_name("index.000000.npy")
    index.write_bytes(index.read_bytes()[:-64])
    with pytest.raises(WrongAnswerError):
        paced.check()


def test_the_time_of_the_threads_that_write() -> None:
    assert set(bench_spool._writers()) == {"fastrec-spool", "fastrec-sync"}


def test_a_claim_of_a_figure_itself() -> None:
    rows = [
        {"case": "c", "who": "A", "unit": unit, "runs": runs} for unit, runs in (("%", [3, 5]), ("x", [0, 1]))
    ]
    assert Claim("a.at_most", "c", "A", None, 4, unit="%").judge(rows) == {
        "id": "a.at_most",
        "ratio": 3,
        "target": 4,
        "holds": True,
    }
    assert not Claim("a.at_most", "c", "A", None, 4, unit="%", worst=True).judge(rows)["holds"]
    assert not Claim("a.at_most", "c", "A", None, 0, unit="x", worst=True).judge(rows)["holds"]


@pytest.mark.parametrize("name", ["h5py", "tables", "pyarrow", "mcap.writer"])
def test_a_missing_rival_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BenchmarkError, match=rf"{name} .*\[bench\]"):
        bench_spool.bench(True, count=64, seconds=0.01)


def test_where_a_folder_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert stores.file_system(Path("/dev/shm")) == "tmpfs" and stores.file_system(Path("/proc")) == "proc"
    assert stores.file_system(Path("/")) not in ("", "tmpfs")
    monkeypatch.setattr(stores, "file_system", lambda path: "tmpfs")
    with pytest.raises(BenchmarkError, match="TMPDIR"):
        stores.disk()
