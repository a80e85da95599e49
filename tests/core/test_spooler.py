"""The spooler on a disk that fails: each call in turn, in every way, for once or for long."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import build, run, seeded

TAKEN = "*error = n ? (int)n : -ENOSPC;\n            break;\n        }\n        "


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("spool"), "spool_faults.c", "-lm")


@pytest.mark.parametrize("mode", ["eio", "enospc", "eintr", "short", "zero", "halflink", "lie", "flood"])
def test_every_call_fails_once(program: Path, fast_disk: Path, mode: str) -> None:
    """No number lost or doubled, no loss without its gap, marks honest, and all is well once the disk is."""
    result = run(program, fast_disk, mode)
    assert result.returncode == 0, result.stdout[-2000:]
    if mode != "flood":
        runs = int(result.stdout.splitlines()[-1].split()[0])
        assert runs > 1000


def test_what_the_ring_has_lost_comes_from_what_was_given_up(program: Path, fast_disk: Path) -> None:
    """A flush fails after the ring has gone round: every record is written again all the same."""
    result = run(program, fast_disk, "rarely")
    assert result.returncode == 0, result.stdout[-2000:]


def test_counts_that_cannot_be_raised_hold_nothing_up(program: Path, fast_disk: Path) -> None:
    """Of side files, whose readers do without: it is told, and few segments are held back for it."""
    result = run(program, fast_disk, "counts")
    assert result.returncode == 0, result.stdout[-2000:]


@pytest.mark.parametrize(
    ("header", "before", "after", "mode"),
    [
        ("commit.h", "c->count_due ? fr_commit_count(io, c) : 0,", "0,", "enospc"),
        ("commit.h", "c->attempted = error != 0;", "", "eio"),
        ("commit.h", "c->gap_count -= batch->taken;", "c->gap_count = 0;", "eio"),
        ("durable.h", "d->retired = j;", "(void)j;", "enospc"),
        ("durable.h", "full <= FR_RETIRED / 2", "1", "counts"),
        ("durable.h", "d->behind = error;", "(void)j;", "counts"),
        ("losses.h", "sum->count += gap.count;", "", "flood"),
        ("segment.h", "if (again)", "if (again < 0)", "halflink"),
        ("os.h", f"{TAKEN}done += (size_t)n;", f"{TAKEN}done = size;", "short"),
        ("again.h", "c->cursor = from;", "", "eio"),
        ("again.h", "all[n] = c->told[n].gap;", "all[n] = c->told[0].gap;", "eio"),
        (
            "losses.h",
            "gap->seq + (fr_gap_has_numbers(gap) ? gap->count : 0) <= seq",
            "gap->seq <= seq",
            "eio",
        ),
        ("again.h", "found = fr_again_block(io, c, &c->given_up[i], &next);", "(void)io;", "rarely"),
        ("lines.h", "id = s->lines->ids[id - 1];", "", "rarely"),
    ],
)
def test_a_seeded_bug_shows(
    tmp_path: Path, fast_disk: Path, header: str, before: str, after: str, mode: str
) -> None:
    mutant = build(tmp_path, "spool_faults.c", "-lm", include=seeded(tmp_path, header, before, after))
    assert run(mutant, fast_disk, mode).returncode == 1


def test_clean_under_sanitizers(tmp_path: Path, fast_disk: Path) -> None:
    """Memory and arithmetic of ring, poller and spooler, with every twentieth call failing."""
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-lm"]
    result = run(build(tmp_path, "spool_faults.c", *flags), fast_disk, "short", 40, 60)
    assert result.returncode == 0, result.stderr[-2000:]
    assert run(build(tmp_path, "poll_account.c", *flags)).returncode == 0
