"""Power lost, or the process killed, at any call of the spooler: what the marks promise is in the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from programs import build, run, seeded
from stress.mutants.table import BEGUN_SOON, BUGS, EACH_FLUSHED

pytestmark = pytest.mark.once  # programs of the headers, however they are installed

STATES = 20_000
FEWER_STATES = 6_000


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
    include = seeded(tmp_path, "durable.h", EACH_FLUSHED.before, EACH_FLUSHED.after)
    result = run(build(tmp_path, "crash_states.c", "-lm", include=include), FEWER_STATES)
    assert result.returncode == 0, result.stdout[-3000:]


def test_states_where_rows_begin_their_way_early(tmp_path: Path) -> None:
    """Before a flush what was written is given to the disk, each page once; that promises nothing."""
    include = seeded(tmp_path, "durable.h", BEGUN_SOON.before, BEGUN_SOON.after)
    result = run(build(tmp_path, "crash_states.c", "-lm", include=include), FEWER_STATES)
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.stress
def test_many_states(program: Path) -> None:
    result = run(program, 5_000_000, 1_000_000, timeout=4 * 3600)
    assert result.returncode == 0, result.stdout[-3000:]


def test_a_state_that_fails_is_found_again(tmp_path: Path) -> None:
    """By itself: what is printed suffices to go on from."""
    (change,) = BUGS["count before index"].changes
    include = seeded(tmp_path, "commit.h", change.before, change.after)
    mutant = build(tmp_path, "crash_states.c", "-O0", "-DENOUGH=1", "-lm", include=include)
    told = run(mutant, FEWER_STATES).stdout
    seed, state = re.search(r"^FAIL seed (\d+) state (\d+) \(killed", told, re.MULTILINE).groups()
    again = run(mutant, "at", seed, state)
    assert again.returncode == 1
    assert f"state {state} is judged: FAIL" in again.stdout


def test_clean_under_sanitizers(tmp_path: Path) -> None:
    flags = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-lm"]
    result = run(build(tmp_path, "crash_states.c", *flags), 1000)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
