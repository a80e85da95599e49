"""Windows in their folder: what is kept, what a dead recorder left, what is no window."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from triggers.simulated import MS, bench

import fastrec as fr
from fastrec.triggers import storing


def fired(path: Path, count: int, **options: object) -> list[str]:
    """Names of the windows after so many firings."""
    with bench(path, **options) as at:
        at.rec.trigger("hr < 0", pre="1ms", post="1ms", holdoff=None, name="x")
        for number in range(count):
            at.push(), at.push(-1)
            at.settle(number + 1, 50 * MS)
    return [*fr.open(path).windows]


def test_the_oldest_go(tmp_path: Path) -> None:
    """Others in the folder are none of ours."""
    path = tmp_path / "run.fastrec"
    assert fired(path, 3, keep_windows=2) == ["000002-x.fastrec", "000003-x.fastrec"]
    (path / "windows/mine").mkdir()
    assert fired(path, 2, keep_windows=3, resume=True) == [
        "000003-x.fastrec",
        "000004-x.fastrec",
        "000005-x.fastrec",
    ]
    assert {one.name for one in (path / "windows").iterdir()} == {"mine", *fr.open(path).windows}
    shutil.rmtree(path / "windows")  # they are closed by themselves: the recording does not count them
    assert fr.open(path).verify().ok and not [
        one for one in fr.open(path).closed["files"] if "windows" in one
    ]


def test_bytes_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "run.fastrec"
    fired(path, 1)
    size = storing._size(path / "windows/000001-x.fastrec")
    names = fired(tmp_path / "other.fastrec", 4, keep_windows=f"{2 * size + size // 2}B")
    assert names == ["000003-x.fastrec", "000004-x.fastrec"]
    assert fired(tmp_path / "small.fastrec", 2, keep_windows="1B") == ["000002-x.fastrec"]
    assert len(fired(tmp_path / "all.fastrec", 3, keep_windows=None)) == 3


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "", "2 dogs", "0B"])
def test_what_is_no_number_of_windows(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(
        fr.RecordingError, match=f"^keep_windows={wrong!r}; it is a number of windows, bytes such as"
    ):
        fr.Recorder(tmp_path / "run.fastrec", keep_windows=wrong)


def test_retention_of_the_run_leaves_windows_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.fastrec"
    with bench(path, keep_bytes=20_000) as at:
        at.rec.trigger("hr < 0", pre="3ms", post="1ms")
        at.push(), at.push(), at.push(-1)
        at.settle(1, 50 * MS)
        while not at.rec._destination.path.joinpath("channels/c/records.000003.npy").exists():
            for _ in range(1000):
                at.push()
    run = fr.open(path)
    (window,) = run.windows.values()
    assert window["c"].seq.tolist() == [0, 1, 2] and window.verify().ok


def test_what_a_dead_recorder_left_goes_and_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.fastrec"
    fired(path, 1)
    for left in (".000002-x.fastrec.new", ".000001-x.fastrec.old", ".000003-x.fastrec.new"):
        (path / "windows" / left / "channels").mkdir(parents=True)
    (path / "windows/.mine").mkdir()
    assert [*fr.open(path).windows] == ["000001-x.fastrec"]
    saved = fr.recover(path, tmp_path / "saved.fastrec")
    assert saved.ok and list(saved.windows) == ["000001-x.fastrec"] and not saved.problems
    assert [*fr.open(tmp_path / "saved.fastrec").windows] == ["000001-x.fastrec"]
    assert fired(path, 1, resume=True) == ["000001-x.fastrec", "000002-x.fastrec"]
    assert {one.name for one in (path / "windows").iterdir()} == {".mine", *fr.open(path).windows}


def test_a_link_in_place_of_the_folder(tmp_path: Path) -> None:
    """Nothing is written, nor removed, behind it."""
    path, other = tmp_path / "run.fastrec", tmp_path / "other"
    fired(path, 1)
    os.rename(path / "windows", other)
    (path / "windows").symlink_to(other)
    (other / ".000009-x.fastrec.new").mkdir()
    before = sorted(other.rglob("*"))
    with bench(path, resume=True) as at:
        trigger = at.rec.trigger("hr < 0", pre="1ms", post="1ms")
        at.push(), at.push(-1)
        with pytest.warns(RuntimeWarning, match="windows: .*link"):
            at.settle(1, 50 * MS)
        assert trigger.stats.failed == 1
    assert sorted(other.rglob("*")) == before
    with pytest.raises(fr.RecordingError, match="windows: is a link"):
        list(fr.open(path).windows)


def test_links_that_have_the_names_of_windows(tmp_path: Path) -> None:
    """Where they lead nothing is removed; links of windows stay, others go."""
    path = tmp_path / "run.fastrec"
    assert fired(path, 1) == ["000001-x.fastrec"]
    elsewhere = {name: tmp_path / name for name in ("new", "old", "window", "within")}
    for folder in elsewhere.values():
        (folder / "sub").mkdir(parents=True)
        (folder / "thesis").write_text("x")
    windows = path / "windows"
    (windows / ".000007-a.fastrec.new").symlink_to(elsewhere["new"])
    (windows / ".000006-a.fastrec.old").symlink_to(elsewhere["old"])
    (windows / "000008-a.fastrec").symlink_to(elsewhere["window"])
    (windows / "000001-x.fastrec/link").symlink_to(elsewhere["within"])
    with pytest.raises(fr.RecordingError, match=r"000008-a\.fastrec: is a link"):
        fired(path, 1, keep_windows=1, resume=True)
    assert {one.name for one in windows.iterdir()} == {"000008-a.fastrec", "000009-x.fastrec"}
    assert fr.open(windows / "000009-x.fastrec").verify().ok
    for folder in elsewhere.values():
        assert (folder / "sub").is_dir() and (folder / "thesis").read_text() == "x"


def test_verify_looks_at_windows_too(tmp_path: Path) -> None:
    path = tmp_path / "run.fastrec"
    fired(path, 2)
    alone = fr.open(path / "windows/000001-x.fastrec").verify()
    report = fr.open(path).verify()
    assert report.ok and report.checked > 2 * alone.checked
    files = path.glob("windows/000002-x.fastrec/channels/*/records.*.npy")
    records = max(files, key=lambda one: one.stat().st_size)
    data = bytearray(records.read_bytes())
    data[-3] ^= 1
    records.write_bytes(data)
    found = fr.open(path).verify().problems
    assert len(found) == 1 and str(records) in found[0] and "do not match their checksum" in found[0]
    (path / "windows/000003-y.fastrec").symlink_to(tmp_path)
    assert any("000003-y.fastrec: is a link" in line for line in fr.open(path).verify().problems)
    (path / "windows/000003-y.fastrec").unlink()
    (path / "windows/000001-x.fastrec/recording.json").write_bytes(b"{}")
    assert any("000001-x.fastrec" in line for line in fr.open(path).verify().problems)


def test_old_windows_that_cannot_be_removed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(13, "Permission denied")

    with bench(tmp_path / "run.fastrec", keep_windows=1) as at:
        trigger = at.rec.trigger("hr < 0", pre="1ms", post="1ms", holdoff=None)
        monkeypatch.setattr(storing.os, "rename", fails)
        at.push(), at.push(-1)
        at.settle(1, 50 * MS)
        at.push(), at.push(-1)
        with pytest.warns(RuntimeWarning, match="old windows could not be removed: .*Permission denied"):
            at.settle(2, 50 * MS)
        assert (trigger.stats.windows, trigger.stats.failed) == (2, 0)


def test_what_retention_takes_meanwhile_is_not_in_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastrec.recording.opening import GoneError

    attempts, write = [], storing.write_excerpt

    def gone(*arguments: object) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise GoneError("went")
        write(*arguments)

    monkeypatch.setattr(storing, "write_excerpt", gone)
    assert len(fired(tmp_path / "run.fastrec", 1)) == 1 and len(attempts) == 3


def test_windows_of_a_recording_are_opened_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "run.fastrec"
    fired(path, 2)
    windows = fr.open(path).windows
    (path / "windows/000001-x.fastrec/recording.json").write_text("{}")
    (path / "windows/no recording").mkdir()
    assert repr(windows) == f"<Windows of {path}: 000001-x.fastrec, 000002-x.fastrec>"
    assert (len(windows), "000002-x.fastrec" in windows, 7 in windows) == (2, True, False)
    assert len(windows["000002-x.fastrec"]["c"]) == 3
    with pytest.raises(fr.CorruptionError):
        windows["000001-x.fastrec"]
    with pytest.raises(KeyError, match="has no window 'x'"):
        windows["x"]
    assert len(fr.open(tmp_path / "run.fastrec/windows/000002-x.fastrec").windows) == 0
