"""What a recorder writes beside its rows, and the lock."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from recording import samples, writer

from fastrec.errors import FormatError, RecordingError
from fastrec.recording import layout, opening, reader
from fastrec.recording.writing import files

UUID = writer.UUID


def create(root: Path, **metadata: object) -> int:
    return files.create_recording(
        root,
        uuid=UUID,
        host="bench",
        tool="oracle",
        timezone="+02:00",
        created_ns=writer.CREATED_NS,
        metadata=metadata,
    )


def channel_members(name: str = "cpu") -> dict[str, object]:
    return {
        "name": name,
        "schema": samples.STATUS.to_dict(),
        "digest": samples.STATUS.digest,
        "record_size": 32,
        "options": {"rate": "10", "store": "every"},
    }


def test_files_are_those_of_the_oracle(tmp_path: Path) -> None:
    os.close(create(tmp_path / "ours"))
    files.create_channel(tmp_path / "ours", UUID, channel_members("status"))
    writer.Folder(tmp_path / "theirs")
    ours, theirs = (tmp_path / name / "recording.json" for name in ("ours", "theirs"))
    assert ours.read_bytes() == theirs.read_bytes()
    line = (tmp_path / "ours/channels/status/channel.json").read_bytes()
    assert line == writer.sealed(channel_members("status"), writer.seed(UUID, "status", 0, 0))


def test_a_recording_made_of_nothing_can_be_read(tmp_path: Path) -> None:
    lock = create(tmp_path / "r", operator="Ada", temperatures=[1, 2.5, None])
    files.create_channel(tmp_path / "r", UUID, channel_members())
    run = reader.open(tmp_path / "r")
    assert run.state == "live"
    assert run.info["metadata"] == {"operator": "Ada", "temperatures": [1, 2.5, None]}
    assert len(run["cpu"]) == 0
    assert run.verify().ok
    os.close(lock)
    assert run.state == "unclean"


def test_files_and_folders_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        os.close(create(tmp_path / "r"))
        files.create_channel(tmp_path / "r", UUID, channel_members())
        files.create_closed(tmp_path / "r", UUID, session=0, mono_ns=1, channels={})
    finally:
        os.umask(before)
    for path in [tmp_path / "r", *(tmp_path / "r").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert not [path for path in (tmp_path / "r").rglob("*") if path.name.startswith(".")]


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    with pytest.raises(RecordingError, match="exists"):
        create(tmp_path / "r")
    with pytest.raises(RecordingError, match="cannot be created"):
        create(tmp_path / "no" / "r")
    (tmp_path / "link").symlink_to(tmp_path / "away")
    with pytest.raises(RecordingError, match="exists"):
        create(tmp_path / "link")
    assert not (tmp_path / "away").exists()


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "x" * 65, "a\n"])
def test_channel_names(tmp_path: Path, name: str) -> None:
    os.close(create(tmp_path / "r"))
    with pytest.raises(FormatError, match="a name is 1 to 64"):
        files.create_channel(tmp_path / "r", UUID, channel_members(name))
    assert os.listdir(tmp_path / "r/channels") == []


def test_nothing_is_written_twice(tmp_path: Path) -> None:
    os.close(create(tmp_path / "r"))
    files.create_channel(tmp_path / "r", UUID, channel_members())
    before = (tmp_path / "r/channels/cpu/channel.json").read_bytes()
    with pytest.raises(RecordingError, match="never written again"):
        files.create_channel(tmp_path / "r", UUID, channel_members())
    assert (tmp_path / "r/channels/cpu/channel.json").read_bytes() == before


def test_a_channel_folder_left_empty_is_used(tmp_path: Path) -> None:
    os.close(create(tmp_path / "r"))
    (tmp_path / "r/channels/cpu").mkdir()
    (tmp_path / "r/channels/cpu/.channel.json.new").write_bytes(b"half")
    files.create_channel(tmp_path / "r", UUID, channel_members())
    assert os.listdir(tmp_path / "r/channels/cpu") == ["channel.json"]
    assert list(reader.open(tmp_path / "r")) == ["cpu"]


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    os.close(create(tmp_path / "r"))
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "r/.closed.json.new").symlink_to(victim)
    files.create_closed(tmp_path / "r", UUID, session=0, mono_ns=1, channels={})
    assert victim.read_bytes() == b"precious"
    os.unlink(tmp_path / "r/closed.json")
    (tmp_path / "r/closed.json").symlink_to(victim)
    with pytest.raises(RecordingError, match="exists already"):
        files.create_closed(tmp_path / "r", UUID, session=0, mono_ns=1, channels={})
    assert victim.read_bytes() == b"precious"
    (tmp_path / "away").mkdir()
    (tmp_path / "r/channels/cpu").symlink_to(tmp_path / "away")
    with pytest.raises(RecordingError, match="link"):
        files.create_channel(tmp_path / "r", UUID, channel_members())
    assert os.listdir(tmp_path / "away") == []


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(create(tmp_path / "r"))
    seen: list[set[str]] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append(set(os.listdir(tmp_path / "r")))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    files.create_closed(tmp_path / "r", UUID, session=0, mono_ns=1, channels={})
    file, folder = seen
    assert ".closed.json.new" in file and "closed.json" not in file
    assert "closed.json" in folder and ".closed.json.new" not in folder


@pytest.mark.parametrize("call", ["pwrite", "fsync", "link"])
def test_a_disk_that_fails_leaves_no_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    os.close(create(tmp_path / "r"))
    open_before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(
            os, call, lambda *a, **k: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        )
        with pytest.raises(RecordingError, match="No space left"):
            files.create_closed(tmp_path / "r", UUID, session=0, mono_ns=1, channels={})
    assert not (tmp_path / "r/closed.json").exists()
    assert len(os.listdir("/proc/self/fd")) <= open_before  # what went before may close some late
    files.create_closed(tmp_path / "r", UUID, session=0, mono_ns=1, channels={})


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: real(descriptor, data[:7], offset))
    os.close(create(tmp_path / "r"))
    assert reader.open(tmp_path / "r").info["host"] == "bench"


def test_closed_json_counts_every_file(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r")
    theirs = (folder.root / "closed.json").read_bytes()
    os.unlink(folder.root / "closed.json")
    assert reader.open(folder.root).state == "unclean"
    totals = {
        name: {"records": channel.published, "segments": len(channel.segments), "stats": {"slots": 7}}
        for name, channel in channels.items()
    }
    files.create_closed(folder.root, UUID, session=0, mono_ns=samples.START_NS, channels=totals)
    assert opening.read_json(
        folder.root, "closed.json", seed=layout.row_seed(UUID, "", 0, 0)
    ) == layout.check_json(theirs, layout.row_seed(UUID, "", 0, 0))
    assert reader.open(folder.root).verify().ok


def test_metadata_that_could_not_be_read_back(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="JSON"):
        create(tmp_path / "r", thing=object())
    with pytest.raises(RecordingError, match="could be read back"):
        create(tmp_path / "r", text="x" * opening.JSON_LIMIT)
    assert not (tmp_path / "r").exists()


def test_metadata_nested_too_deep() -> None:
    """Each level is a call of the reader, who may have fewer left than the writer had."""

    def nested(levels: int, wrap: Callable[[object], object]) -> dict[str, object]:
        value: object = 1
        for _ in range(levels):
            value = wrap(value)
        return {"a": value}

    for wrap in (lambda value: {"a": value}, lambda value: [0, value]):
        assert files.checked_metadata(nested(99, wrap)) == nested(99, wrap)
        for levels in (100, 500, 10_000):
            with pytest.raises(RecordingError, match="metadata"):
                files.checked_metadata(nested(levels, wrap))
    cyclic: dict[str, object] = {}
    cyclic["a"] = cyclic
    with pytest.raises(RecordingError, match="Circular"):
        files.checked_metadata(cyclic)


def test_take_back(tmp_path: Path) -> None:
    """A folder goes with what is in it, and nothing that a link in it leads to."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_bytes(b"x")
    (tmp_path / "r/channels/cpu").mkdir(parents=True)
    (tmp_path / "r/channels/cpu/channel.json").write_bytes(b"x")
    (tmp_path / "r/link").symlink_to(tmp_path / "kept/file")
    files.take_back(tmp_path / "r")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept/file").read_bytes() == b"x"
    files.take_back(tmp_path / "nothing")


# The lock

ASK = """
import sys
from pathlib import Path
from fastrec.recording import opening
print(opening.is_live(Path(sys.argv[1])))
"""


def asked_elsewhere(root: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(root)], capture_output=True, text=True, check=True, cwd=os.getcwd()
    )
    return done.stdout.strip()


def test_the_lock_is_seen_here_and_in_other_processes(tmp_path: Path) -> None:
    lock = create(tmp_path / "r")
    assert opening.is_live(tmp_path / "r")
    assert asked_elsewhere(tmp_path / "r") == "True"
    os.close(lock)
    assert not opening.is_live(tmp_path / "r")
    assert asked_elsewhere(tmp_path / "r") == "False"
    assert not opening.is_live(tmp_path)


def test_asking_never_takes_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(create(tmp_path / "r"))
    calls: list[int] = []
    real = fcntl.fcntl
    monkeypatch.setattr(fcntl, "fcntl", lambda fd, what, arg=0: (calls.append(what), real(fd, what, arg))[1])
    assert not opening.is_live(tmp_path / "r")
    assert calls == [fcntl.F_OFD_GETLK]


def test_asking_needs_no_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = create(tmp_path / "r")
    real = os.open
    modes: list[int] = []
    monkeypatch.setattr(
        os, "open", lambda name, flags, *a, **k: (modes.append(flags), real(name, flags, *a, **k))[1]
    )
    assert opening.is_live(tmp_path / "r")
    assert all(flags & os.O_ACCMODE == os.O_RDONLY for flags in modes)
    os.close(lock)


def test_a_recording_is_never_seen_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[bool] = []
    real = os.unlink

    def look(name: str, **options: object) -> None:
        if (tmp_path / "r/recording.json").exists():
            states.append(opening.is_live(tmp_path / "r"))
        real(name, **options)

    monkeypatch.setattr(os, "unlink", look)
    os.close(create(tmp_path / "r"))
    assert states == [True]
