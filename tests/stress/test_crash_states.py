"""Power lost, or the process killed, at any call of the spooler: what the marks promise is in the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from programs import INCLUDE, build, run, seeded

STATES = 20_000
MUTANT_STATES = 6_000

APPEND_INDEX = (
    "return fr_segment_append(io, &c->segment, FR_INDEX, c->kinds, c->blocks, batch->blocks, error);"
)
APPEND_RECORDS = (
    "fr_segment_append(io, &c->segment, FR_RECORDS, c->kinds, batch->records, batch->count, error);"
)
INDEX_AHEAD = "fr_segment_append(io, &c->segment, FR_INDEX, c->kinds, c->blocks, batch->blocks, error);"
COUNT_AHEAD = "fr_npy_count(io, c->segment.fd[FR_RECORDS], c->segment.rows[FR_RECORDS] + batch->count);"
WRITTEN_AHEAD = "fr_store_release((uint64_t *)&c->written, c->cursor + batch->count);"
RAISE = "fr_store_release(&c->durable, d->placed);"
COLLECTED = "c->unsynced_names = 0;"
# Rounds with many files use syncfs: here none are many.
FLUSH_EACH = ("durable.h", "#define FR_SYNC_MANY 8 ", "#define FR_SYNC_MANY 800 ")
# What is written begins its way to the disk at 4 MiB: here nobody writes that much.
BEGIN_SOON = ("durable.h", "#define FR_BEGIN_BYTES (4 << 20) ", "#define FR_BEGIN_BYTES 4096 ")
EACH = "if (file != FR_ZONES && "


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("crash"), "crash_states.c", "-lm")


def test_states(program: Path) -> None:
    """Nothing told safe is lost, altered, doubled; nothing that passes its checksum is wrong."""
    result = run(program, STATES)
    assert result.returncode == 0, result.stdout[-3000:]
    power, kill, told, removed = (
        int(number)
        for number in re.match(
            r"(\d+) .* (\d+) of a kill, .*; (\d+) records .* (\d+) segments removed", result.stdout
        ).groups()
    )
    assert power + kill >= STATES
    assert min(power, 4 * kill) > STATES / 2
    assert told > 500 * STATES  # the marks were not near 0 all the time
    assert removed > 50


def test_states_where_each_file_is_flushed(tmp_path: Path) -> None:
    result = run(
        build(tmp_path, "crash_states.c", "-lm", include=seeded(tmp_path, *FLUSH_EACH)), MUTANT_STATES
    )
    assert result.returncode == 0, result.stdout[-3000:]


def test_states_where_rows_begin_their_way_early(tmp_path: Path) -> None:
    """Before a flush what was written is given to the disk, each page once; that promises nothing."""
    soon = seeded(tmp_path, *BEGIN_SOON)
    result = run(build(tmp_path, "crash_states.c", "-lm", include=soon), MUTANT_STATES)
    assert result.returncode == 0, result.stdout[-3000:]
    mutant = seeded(tmp_path, "commit.h", "c->begun = 0;", ";", include=soon)
    result = run(build(tmp_path, "crash_states.c", "-lm", include=mutant), MUTANT_STATES)
    assert result.returncode == 1
    assert "begins what is not there" in result.stdout


@pytest.mark.stress
def test_many_states(program: Path) -> None:
    result = run(program, 5_000_000, 1_000_000, timeout=4 * 3600)
    assert result.returncode == 0, result.stdout[-3000:]


BUGS = {
    "folder not flushed": (
        "durable.h",
        "return error || !d->names ? error : io->sync_dir(d->channel->dir);",
        "return error;",
    ),
    "durable before the flush": (
        "durable.h",
        COLLECTED,
        f"{COLLECTED} fr_store_release(&c->durable, d->placed);",
    ),
    "durable as placed after the flush": ("durable.h", RAISE, "fr_store_release(&c->durable, c->placed);"),
    "durable though the flush failed": ("durable.h", "if (!error && durability", "if (durability"),
    "a failed flush made again": ("durable.h", "fr_store_relaxed(&c->broken, (uint64_t)-error);", ";"),
    "strings not flushed": ("durable.h", EACH, f"{EACH}file != FR_STRINGS && "),
    "gaps not flushed": ("durable.h", EACH, f"{EACH}file != FR_GAPS && "),
    "index not flushed": ("durable.h", EACH, f"{EACH}file != FR_INDEX && "),
    "records not flushed": ("durable.h", EACH, f"{EACH}file != FR_RECORDS && "),
    "full segments not flushed": (
        "durable.h",
        "for (i = 0; i < d->count; i++)\n        for (file",
        "for (i = d->retired; i < d->count; i++)\n        for (file",
    ),
    "no syncfs where files are many": ("durable.h", "error = io->sync_all(dir);", "error = 0 * dir;"),
    "count before the index row": ("commit.h", APPEND_INDEX, f"{COUNT_AHEAD}\n    {APPEND_INDEX}"),
    "records removed last": (
        "segment.h",
        "for (i = FR_RECORDS; i >= 0 && !error; i--)",
        "for (i = 0; i < FR_FILES && !error; i++)",
    ),
    "written before the index row": ("commit.h", APPEND_INDEX, f"{WRITTEN_AHEAD}\n    {APPEND_INDEX}"),
}
"""What is wrong, in which header, and how."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_shows(tmp_path: Path, bug: str) -> None:
    include = seeded(tmp_path, *FLUSH_EACH) if "not flushed" in bug else INCLUDE
    mutant = build(tmp_path, "crash_states.c", "-lm", include=seeded(tmp_path, *BUGS[bug], include=include))
    result = run(mutant, MUTANT_STATES)
    assert result.returncode == 1, result.stdout
    # The same state again, by itself: what is printed suffices to go on from.
    found, state = re.search(
        r"^FAIL seed (\d+) state (\d+) \((?!stopped)", result.stdout, re.MULTILINE
    ).groups()
    again = run(mutant, "at", found, state)
    assert again.returncode == 1
    assert f"state {state} is judged: FAIL" in again.stdout


def test_index_before_rows_is_no_bug(tmp_path: Path) -> None:
    """Nothing orders what no flush lies between, and the checksum of rows tells: another order will do."""
    include = seeded(tmp_path, "commit.h", APPEND_RECORDS, f"{{ {INDEX_AHEAD} {APPEND_RECORDS} }}")
    result = run(build(tmp_path, "crash_states.c", "-lm", include=include), MUTANT_STATES)
    assert result.returncode == 0, result.stdout[-3000:]


def test_clean_under_sanitizers(tmp_path: Path) -> None:
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-lm"]
    result = run(build(tmp_path, "crash_states.c", *flags), 1000)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
