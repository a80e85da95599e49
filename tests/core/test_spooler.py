"""The spooler on a disk that fails: each call in turn, in every way, for once or for long."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import build, run

pytestmark = pytest.mark.once  # programs of the headers, however they are installed

MODES = ["eio", "enospc", "eintr", "short", "zero", "halflink", "lie"]
CASES = (
    "stop scarce woken anchored parted losses counted growing crowded turns large told often behind removed"
    " uncounted idle there last seldom needless folderless dated twice stuck uneven unneeded unfinished again"
    " steady"
)
CALLS = 400  # about as many as a run makes


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("spool"), "spool_faults.c", "-lm")


def runs(program: Path, *arguments: object) -> int:
    """How often it ran; a failure of any of them is one of the test."""
    result = run(program, *arguments)
    assert result.returncode == 0, result.stdout[-2000:]
    return int(result.stdout.splitlines()[-1].split()[0])


@pytest.mark.parametrize("mode", MODES)
def test_each_third_call_fails(program: Path, fast_disk: Path, mode: str) -> None:
    """No number lost or doubled, no loss without its gap, marks honest, and all is well once the disk is."""
    assert runs(program, fast_disk, mode, MODES.index(mode) % 3, CALLS, 3) > 500


@pytest.mark.stress
@pytest.mark.parametrize("mode", MODES)
def test_every_call_fails(program: Path, fast_disk: Path, mode: str) -> None:
    assert runs(program, fast_disk, mode) > 1500


def test_a_flood_of_losses(program: Path, fast_disk: Path) -> None:
    """On a disk that takes nothing for long: places coarsen, counts do not."""
    result = run(program, fast_disk, "flood")
    assert result.returncode == 0, result.stdout[-2000:]


def test_what_the_ring_has_lost_comes_from_what_was_given_up(program: Path, fast_disk: Path) -> None:
    """A flush fails after the ring has gone round: every record is written again all the same."""
    result = run(program, fast_disk, "rarely")
    assert result.returncode == 0, result.stdout[-2000:]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("cases"), "spool_cases.c", "-lm")


@pytest.mark.parametrize("case", CASES.split())
def test_a_case(cases: Path, fast_disk: Path, case: str) -> None:
    """A stop with full segments about, a disk with little room again, and the like: each says what it is."""
    result = run(cases, fast_disk, case)
    assert result.returncode == 0, result.stdout[-2000:]


def test_counts_that_cannot_be_raised_hold_nothing_up(program: Path, fast_disk: Path) -> None:
    """Of side files, whose readers do without: it is told, and few segments are held back for it."""
    result = run(program, fast_disk, "counts")
    assert result.returncode == 0, result.stdout[-2000:]


def test_clean_under_sanitizers(tmp_path: Path, fast_disk: Path) -> None:
    """Memory and arithmetic of ring, poller and spooler, with every twentieth call failing."""
    flags = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-lm"]
    result = run(build(tmp_path, "spool_faults.c", *flags), fast_disk, "short", 0, CALLS, 20)
    assert result.returncode == 0, result.stderr[-2000:]
    assert run(build(tmp_path, "poll_account.c", *flags)).returncode == 0
