"""The benchmark of recovering: whatever it times is really checked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastrec
from benchmarks import bench_recover, stores
from benchmarks.harness import WrongAnswerError
from benchmarks.payloads import SCHEMA, statuses

COUNT = 5000


@pytest.fixture
def savings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bench_recover.Saving]]:
    monkeypatch.setattr(stores, "disk", lambda: tmp_path)
    (case,) = bench_recover.bench(True, count=COUNT).cases
    made = [*case.ours, *case.rivals]
    yield made
    for one in made:
        one.close()
    assert not list(tmp_path.iterdir())


def test_it_ends_as_a_kill_leaves_it(savings: list[bench_recover.Saving]) -> None:
    run = fastrec.open(savings[0].crashed.path)
    assert run.state == "unclean" and len(run["status"]) == COUNT
    assert any("unfinished" in note for note in run.verify().notes)


def test_what_was_saved_is_really_checked(savings: list[bench_recover.Saving]) -> None:
    for saving in savings:
        for turn in (0, 1):
            saving.prepare(turn)
            assert not saving.saved.exists()
            saving.run()
            saving.check()
        records = saving.saved / "channels" / "status" / "records.000000.npy"
        data = records.read_bytes()
        records.write_bytes(data[:-2030] + bytes([data[-2030] ^ 1]) + data[-2029:])
        with pytest.raises(WrongAnswerError):
            saving.check()
        shutil.rmtree(saving.saved)
        with pytest.raises((OSError, WrongAnswerError)):
            saving.check()


def test_another_recording_is_no_answer(savings: list[bench_recover.Saving]) -> None:
    """Closed and whole, but a record short, or of other records."""
    recovering = savings[0]
    recovering.prepare(0)
    for count, change in ((COUNT - 1, 0), (COUNT, 1)):
        with fastrec.Recorder(recovering.saved) as recorder:
            channel = recorder.add("status", schema=SCHEMA)
            rows = statuses(0, count)
            rows["hr"][7] += change
            channel.extend(rows, stores.stamps(0, count))
        with pytest.raises(WrongAnswerError):
            recovering.check()
        shutil.rmtree(recovering.saved)
