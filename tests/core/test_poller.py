"""The poller: every slot's fate, under a clock of our own."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
from programs import build, run, seeded, some_now

Account = dict[str, int]


def scenarios(program: Path) -> dict[str, tuple[Account, list[Account]]]:
    """Account and gaps by scenario, as ``poll_account.c`` prints them."""
    found = {}
    for line in run(program).stdout.splitlines():
        name, _, rest = line.partition(" ")
        account = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", rest)}
        gaps = [
            dict(zip(("seq", "count", "cause", "code", "first", "last"), map(int, numbers), strict=True))
            for numbers in re.findall(
                r"\[seq (\d+) count (\d+) cause (\d+) code (-?\d+) t (-?\d+)\.\.(-?\d+)\]", rest
            )
        ]
        found[name] = (account, gaps)
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Account, list[Account]]]:
    return scenarios(build(tmp_path_factory.mktemp("poll"), "poll_account.c"))


def gap(seq: int, count: int, cause: int, code: int, first: int, last: int) -> Account:
    return {"seq": seq, "count": count, "cause": cause, "code": code, "first": first, "last": last}


def test_grid_is_exact(told: dict) -> None:
    """3 Hz has not drifted after an hour; a skip lands where as many steps do."""
    assert told["grid"][0] == {"wrong": 0}


def test_grids_of_any_rate_stay_exact_for_years(told: dict) -> None:
    account = told["grids"][0]
    assert account["wrong"] == 0 and account["steps"] > 10_000


def test_histogram(told: dict) -> None:
    """Buckets hold what belongs in them; a ramp counts as its values one by one."""
    assert told["histogram"][0] == {"wrong": 0}


def test_slots_add_up(told: dict) -> None:
    for name, (account, gaps) in told.items():
        if "slots" in account:
            outcomes = ("recorded", "held", "missed", "failed", "dropped")
            assert account["slots"] == sum(account[key] for key in outcomes), name
            assert account["head"] == account["recorded"], name
            for cause, key in ((2, "dropped"), (3, "missed"), (4, "failed")):
                assert sum(g["count"] for g in gaps if g["cause"] == cause) == account[key], name


def test_blocked_call_misses_what_it_overran(told: dict) -> None:
    account, gaps = told["blocked"]
    assert (account["slots"], account["recorded"], account["missed"]) == (7, 6, 1)
    assert gaps == [gap(3, 1, 3, 0, 30_000, 30_000)]
    assert account["lateness_max"] > 15_000


def test_stop_during_a_call_counts_the_deadlines_that_passed(told: dict) -> None:
    account, gaps = told["stuck"]
    assert (account["slots"], account["recorded"], account["missed"]) == (7, 2, 5)
    assert gaps == [gap(2, 5, 3, 0, 20_000, 60_000)]


def test_a_pause_costs_the_deadlines_within_it_and_says_so(told: dict) -> None:
    account, gaps = told["paused"]
    assert (account["slots"], account["recorded"], account["missed"]) == (9, 6, 3)
    assert gaps == [gap(3, 3, 3, errno.EBUSY, 30_000, 50_000)]  # that of 60 us is served late
    account, gaps = told["pausedlate"]
    assert (account["slots"], account["recorded"], account["missed"]) == (12, 6, 6)
    assert gaps == [gap(3, 1, 3, 0, 30_000, 30_000), gap(3, 5, 3, errno.EBUSY, 40_000, 80_000)]
    account, gaps = told["pausedtotheend"]
    assert (account["slots"], account["recorded"], account["missed"]) == (8, 3, 5)
    assert gaps == [gap(3, 5, 3, errno.EBUSY, 30_000, 70_000)]


def test_after_a_halt_nothing_is_called_or_missed(told: dict) -> None:
    account, gaps = told["halted"]
    assert (account["slots"], account["recorded"], account["missed"]) == (3, 3, 0) and gaps == []


@pytest.mark.parametrize("name", ["failing", "flatout"])
def test_failures_keep_place_and_code(told: dict, name: str) -> None:
    account, gaps = told[name]
    assert (account["slots"], account["recorded"], account["held"], account["failed"]) == (8, 3, 1, 4)
    assert [(g["seq"], g["count"], g["cause"], g["code"]) for g in gaps] == [
        (1, 2, 4, -7),
        (1, 1, 4, 5),
        (2, 1, 4, -7),
    ]


def test_nothing_new_before_any_payload_is_a_failure(told: dict) -> None:
    account, _ = told["nothing"]
    assert (account["recorded"], account["held"], account["failed"]) == (1, 1, 1)


def test_starved_thread(told: dict) -> None:
    account, gaps = told["starved"]
    assert (account["slots"], account["recorded"], account["missed"]) == (9, 3, 6)
    assert gaps == [gap(1, 3, 3, 0, 10_000, 30_000), gap(2, 3, 3, 0, 50_000, 70_000)]


@pytest.mark.once
@pytest.mark.parametrize(
    ("header", "before", "after", "scenario"),
    some_now(
        [
            ("poll.h", "fr_poll_miss(c, overrun, now, 0);", "fr_grid_skip(g, overrun);", "blocked"),
            (
                "poll.h",
                "fr_poll_finish(p->channels[i], now, p->paused ? FR_MISSED_PAUSED : 0);",
                "(void)now;",
                "stuck",
            ),
            ("poll.h", "p->paused ? 0 : FR_MISSED_PAUSED", "0", "paused"),
            ("poll.h", "p->paused ? 0 : FR_MISSED_PAUSED", "FR_MISSED_PAUSED", "pausedlate"),
            (
                "poll.h",
                "fr_poll_miss(c, overdue, now, code);",
                "fr_grid_skip(&c->grid, overdue + 0 * code);",
                "paused",
            ),
            ("poll.h", "p->paused ? FR_MISSED_PAUSED : 0", "0", "pausedtotheend"),
            ("poll.h", "|| p->paused) {", ") {", "paused"),
            ("poll.h", "p->running = 0;", "", "halted"),
            ("poll.h", "a->failed++;", "", "failing"),
            ("ring.h", "|| g->code != code ||", "||", "failing"),
            ("poll.h", "code = ENODATA;", "code = FR_POLL_SAME;", "nothing"),
            ("poll.h", "g->rest = forward % g->den;", "", "grid"),
            ("poll.h", "(unsigned __int128)g->num * slots + g->rest;", "g->num * slots + g->rest;", "grids"),
            ("poll.h", "late < g->num + g->rest ? 0", "late <= g->num + g->rest ? 0", "grids"),
            ("poll.h", "(late - g->rest) / g->num)", "late / g->num)", "grids"),
            ("histogram.h", "if (here > times)", "if (0)", "histogram"),
        ]
    ),
)
def test_a_seeded_bug_shows(
    tmp_path: Path, told: dict, header: str, before: str, after: str, scenario: str
) -> None:
    program = build(tmp_path, "poll_account.c", include=seeded(tmp_path, header, before, after))
    assert scenarios(program).get(scenario) != told[scenario]


OFTEN = [2_000, pytest.param(10_000, marks=pytest.mark.stress)]


@pytest.mark.parametrize("cycles", OFTEN)
def test_threads_that_ended_left_nothing(tmp_path: Path, cycles: int) -> None:
    done = run(build(tmp_path, "poll_cycles.c"), cycles)
    assert done.returncode == 0, done.stdout
    left = {key: int(value) for key, value in re.findall(r"(\w+)=(-?\d+)", done.stdout)}
    assert left["threads"] == left["descriptors"] == left["wrong"] == 0
    # The allocator may take one more arena; a page a cycle would be 7 MB, a mapping 1,800.
    assert left["mappings"] < 20 and left["resident"] < 2 << 20


@pytest.mark.once
@pytest.mark.parametrize("cycles", [500, *OFTEN[1:]])
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_clean_under_sanitizers(tmp_path: Path, sanitizer: str, cycles: int) -> None:
    # Fences it does not know; but what they order is atomic, and it sees every access that is not.
    flags = [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-g", "-Wno-tsan"]
    done = run(build(tmp_path, "poll_cycles.c", *flags), cycles)
    assert done.returncode == 0 and done.stderr == "", done.stderr[:4000]
    assert " wrong=0" in done.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ("header", "before", "after"),
    [
        ("os.h", "return t->borrowed ? 0 : -pthread_join(t->id, NULL);", "return 0;"),
        ("os.h", "    munmap(memory, size);\n", "    (void)memory, (void)size;\n"),
        ("poll.h", "a->recorded++;", "a->recorded += 2;"),
    ],
)
def test_a_seeded_leak_shows(tmp_path: Path, header: str, before: str, after: str) -> None:
    program = build(tmp_path, "poll_cycles.c", include=seeded(tmp_path, header, before, after))
    with pytest.raises(AssertionError):
        done = run(program, 500)
        left = {key: int(value) for key, value in re.findall(r"(\w+)=(-?\d+)", done.stdout)}
        assert done.returncode == 0 and left["mappings"] < 20 and left["resident"] < 2 << 20
