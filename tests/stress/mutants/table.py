"""Seeded bugs: what is wrong, where, and the check that must say so.

A check is a C program of ``tests/c``, built against the changed headers, or a test of this suite, run on a
copy of the package that has the change. What only proves the tests of one module stands beside them instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["BUGS", "Bug", "Change", "Program", "Test"]


class Change(NamedTuple):
    """In a file, a path below ``fastrec/``, `before` stands once and becomes `after`."""

    file: str
    before: str
    after: str


class Program(NamedTuple):
    """A program of ``tests/c``: it prints what it finds, and its exit code is 1 then.

    Attributes
    ----------
    arguments : tuple of str
        ``DISK`` stands for a folder in memory.
    flags : tuple of str
        For the compiler.
    tries : int
        How often it may be run until it finds what depends on chance.
    """

    source: str
    arguments: tuple[str, ...]
    flags: tuple[str, ...] = ()
    tries: int = 1


class Test(NamedTuple):
    """A test of this suite: ``recording/test_verify.py::test_a_closed_recording``, without what it needs."""

    __test__ = False

    node: str


@dataclass(frozen=True)
class Bug:
    """What is wrong.

    Attributes
    ----------
    check : Program or Test
        It passes without the bug.
    says : str
        Pattern of what it prints with the bug: another failure is not the one that is meant.
    changes : tuple of Change
        One, but where something comes in another order.
    setting : Change, optional
        Breaks nothing, but brings the program to the place of the bug.
    """

    check: Program | Test
    says: str
    changes: tuple[Change, ...]
    setting: Change | None = None


def _header(name: str, before: str, after: str) -> Change:
    return Change(f"include/fastrec/{name}", before, after)


def _reader(name: str, before: str, after: str) -> Change:
    return Change(f"recording/{name}.py", before, after)


# A disk that loses power, or a process that is killed, at any call of scripts that seeds choose.
STATES = Program("crash_states.c", ("6000",), ("-O0", "-DENOUGH=1", "-lm"))
# Rounds with many files use syncfs: here none are many.
EACH_FLUSHED = _header("durable.h", "#define FR_SYNC_MANY 8 ", "#define FR_SYNC_MANY 800 ")
# What is written begins its way to the disk at 4 MiB: here nobody writes that much.
BEGUN_SOON = _header("durable.h", "#define FR_BEGIN_BYTES (4 << 20) ", "#define FR_BEGIN_BYTES 4096 ")
# Two readers and a writer of records that prove themselves; it takes chance to see a tear.
RING = Program("ring_stress.c", ("20000000", "1000", "payloads"), ("-O2",), tries=20)


def faults(mode: str) -> Program:
    """A disk of which each third of the first calls fails, once or for long."""
    return Program("spool_faults.c", ("DISK", mode, "0", "60", "3"), ("-O0", "-DENOUGH=1", "-lm"))


def alone(case: str) -> Program:
    """One case by itself."""
    return Program("spool_cases.c", ("DISK", case), ("-O0", "-lm"))


APPEND_STRINGS = (
    "fr_segment_append(io, &c->segment, FR_STRINGS, c->kinds, c->lines.data, batch->text_bytes, error);"
)
APPEND_RECORDS = (
    "fr_segment_append(io, &c->segment, FR_RECORDS, c->kinds, batch->records, batch->count, error);"
)
APPEND_INDEX = "fr_segment_append(io, &c->segment, FR_INDEX, c->kinds, c->blocks, batch->blocks, error);"
COUNT_AHEAD = "fr_npy_count(io, c->segment.fd[FR_RECORDS], c->segment.rows[FR_RECORDS] + batch->count);"
WRITTEN_AHEAD = "fr_store_release((uint64_t *)&c->written, c->cursor + batch->count);"
FLUSHED = "if (file != FR_ZONES && "
COLLECTED = "c->unsynced_names = 0;"
RAISE = "fr_store_release(&c->durable, d->placed);"
TAKEN = "*error = n ? (int)n : -ENOSPC;\n            break;\n        }\n        "
CLOSE_HOLD = "    if (!same)\n        fr_hold_put(h, &c->ring);"

RING_BUGS = {
    "guard gone": Bug(
        RING,
        r"torn words [1-9]",
        (
            _header(
                "ring.h",
                "const uint64_t cap = lane->nslots - FR_GUARD;",
                "const uint64_t cap = lane->nslots;",
            ),
        ),
    ),
    "no second look at the head": Bug(
        RING, r"torn words [1-9]", (_header("ring.h", "if (head - span.first > cap) {", "if (0) {"),)
    ),
    "parts beyond the guard": Bug(
        RING,
        r"torn words [1-9]",
        (_header("ring.h", "part = count < FR_GUARD ? count : FR_GUARD;", "part = count;"),),
    ),
    "hold closed one poll late": Bug(
        Test("core/test_hold.py::test_the_scripts_for_seeded_bugs_pass"),
        r"At index \d+ diff: \(\d+, \d+, 3, .* != \(\d+, \d+, 2, ",  # one poll more than there were
        (
            _header(
                "poll.h",
                CLOSE_HOLD,
                "    if (!same && h->record->polls)\n        fr_hold_count(h, &c->ring, stamp);\n"
                + CLOSE_HOLD,
            ),
        ),
    ),
}

# After a loss of power an index row may be there before its rows whatever was written first: sizes and
# checksums tell, and no order of writes within one flush is a bug. A kill leaves what was written up to then,
# and a reader that finds less than an index row names calls it damage. Where the count or `written` go ahead
# too, rows are lost that were promised.
ORDER_BUGS = {
    "index row before its rows": Bug(
        STATES,
        r"\(killed, .*: names records that are not there",
        (_header("commit.h", APPEND_RECORDS, f"{{ {APPEND_INDEX} {APPEND_RECORDS} }}"),),
    ),
    "index row and count before the rows": Bug(
        STATES,
        r"\(killed, .*: numpy sees \d+ rows, \d+ are committed",
        (_header("commit.h", APPEND_RECORDS, f"{{ {APPEND_INDEX} {COUNT_AHEAD} {APPEND_RECORDS} }}"),),
    ),
    "count before index": Bug(
        STATES,
        r"\(killed, .*: numpy sees \d+ rows, \d+ are committed",
        (_header("commit.h", f"return {APPEND_INDEX}", f"{COUNT_AHEAD}\n    return {APPEND_INDEX}"),),
    ),
    "written before the index row": Bug(
        STATES,
        r"\(killed, .*: number \d+ of \d+ is in 0 places",
        (_header("commit.h", f"return {APPEND_INDEX}", f"{WRITTEN_AHEAD}\n    return {APPEND_INDEX}"),),
    ),
    "string after its row": Bug(
        STATES,
        r"\(killed, .*: names texts that are not there",
        (
            _header("commit.h", APPEND_STRINGS, "(void)0;"),
            _header(
                "commit.h",
                f"return {APPEND_INDEX}",
                f"{{ uint64_t landed = {APPEND_INDEX} {APPEND_STRINGS} return landed; }}",
            ),
        ),
    ),
    "records removed last": Bug(
        STATES,
        r"\(killed, .*: segment \d+ is not whole",
        (
            _header(
                "segment.h",
                "for (i = FR_RECORDS; i >= 0 && !error; i--)",
                "for (i = 0; i < FR_FILES && !error; i++)",
            ),
        ),
    ),
    "rotation off by one": Bug(
        STATES,
        r": segment \d+ has 1025 records, which is more than 1024",
        (
            _header(
                "commit.h",
                "uint64_t room = fr_commit_most(c) - c->segment.rows[FR_RECORDS], i;",
                "uint64_t room = fr_commit_most(c) + 1 - c->segment.rows[FR_RECORDS], i;",
            ),
        ),
    ),
    "rotation loses a record": Bug(
        STATES,
        r": number \d+ of \d+ is in 0 places",
        (
            _header(
                "commit.h",
                "    fr_zone_clear(&c->zone);\n    return 0;",
                "    fr_zone_clear(&c->zone);\n    c->cursor += next.number > 0;\n    return 0;",
            ),
        ),
    ),
    "zone max of the wrong field": Bug(
        STATES,
        r": segment \d+ zone \d+: .* of field 0 are not those of its records",
        (
            _header(
                "zone.h",
                "fr_zone_add_field(&z->field[i], records, count, stride, weight_at, &row[1 + i],"
                " &row[1 + k + i],",
                "fr_zone_add_field(&z->field[i], records, count, stride, weight_at, &row[1 + i],"
                " &row[1 + k + (i + 1) % k],",
            ),
        ),
    ),
    "zone of holds counts records": Bug(
        STATES,
        r": segment \d+ zone \d+: weighs 1024, not",
        (_header("zone.h", "row[0] += w;", "row[0] += w / w;"),),
    ),
}


def _not_flushed(file: str, says: str) -> Bug:
    return Bug(STATES, says, (_header("durable.h", FLUSHED, f"{FLUSHED}file != {file} && "),), EACH_FLUSHED)


_LOST = r"durable \d+\): number \d+ of \d+ is in 0 places"
_HARMED = r"durable \d+\): segment \d+ block \d+: rows from number \d+ on do not match"

DURABLE_BUGS = {
    "folder fsync missing": Bug(
        STATES,
        _LOST,
        (
            _header(
                "durable.h",
                "return error || !d->names ? error : io->sync_dir(d->channel->dir);",
                "return error;",
            ),
        ),
    ),
    "durable mark early": Bug(STATES, _LOST, (_header("durable.h", COLLECTED, f"{COLLECTED} {RAISE}"),)),
    "durable mark of what came after the flush": Bug(
        STATES, _HARMED, (_header("durable.h", RAISE, "fr_store_release(&c->durable, c->placed);"),)
    ),
    "durable mark though the flush failed": Bug(
        STATES, _LOST, (_header("durable.h", "if (!error && durability", "if (durability"),)
    ),
    "failed fsync retried": Bug(
        STATES,
        _HARMED,
        (_header("durable.h", "fr_store_relaxed(&c->broken, (uint64_t)-error);", ";"),),
    ),
    "strings not flushed": _not_flushed("FR_STRINGS", r"has text \d+ of \d+, which is damaged"),
    "gaps not flushed": _not_flushed("FR_GAPS", r"\d+ losses of cause \d before number \d+, not \d+"),
    "index not flushed": _not_flushed("FR_INDEX", _LOST),
    "records not flushed": _not_flushed("FR_RECORDS", _HARMED),
    "full segments not flushed": Bug(
        STATES,
        _HARMED,
        (
            _header(
                "durable.h",
                "for (i = 0; i < d->count; i++)\n        for (file",
                "for (i = d->retired; i < d->count; i++)\n        for (file",
            ),
        ),
        EACH_FLUSHED,
    ),
    "early writeback of a segment begins where that of the one before ended": Bug(
        STATES, "begins what is not there", (_header("commit.h", "c->begun = 0;", ";"),), BEGUN_SOON
    ),
    "retention removes what lies behind a segment given up": Bug(
        alone("behind"),
        "nothing is left",
        (_header("retention.h", "c->kept->number >= c->doubtful", "0"),),
    ),
    "no syncfs where files are many": Bug(
        STATES, _HARMED, (_header("durable.h", "error = io->sync_all(dir);", "error = 0 * dir;"),)
    ),
}

FAULT_BUGS = {
    "a stop does not wait for what is written again": Bug(
        alone("stop"),
        r"of \d+ records \d+ are durable",
        (_header("spool.h", "    } while (waits);", "    } while (0);"),),
    ),
    "retention does not wait for a row behind the segment that goes": Bug(
        alone("scarce"), "though there is room again", (_header("retention.h", " && !stock.soon", ""),)
    ),
    "a channel that is woken forgets what was made for it": Bug(
        alone("woken"), "segments stay at rest", (_header("retention.h", "q->heir = c;", ""),)
    ),
    "short write ignored": Bug(
        faults("short"),
        r"segment \d+ has a damaged header",
        (_header("os.h", f"{TAKEN}done += (size_t)n;", f"{TAKEN}done = size;"),),
    ),
    "gap count lost when merging": Bug(
        faults("flood"),
        r"losses in the folder: missed \d+ of 96000",
        (_header("losses.h", "sum->count += gap.count;", ""),),
    ),
    "gap count lost when joining": Bug(
        Test("schema/test_gaps.py::test_pieces_of_one_loss_add_up"),
        r"At index 0 diff: \(5, 3, .* != \(5, 7, ",
        (Change("schema/gaps.py", '    joined["count"] = np.add.reduceat(pieces["count"], starts)\n', ""),),
    ),
    "all losses count as told": Bug(
        faults("eio"),
        r"losses in the folder: missed \d+ of \d+",
        (_header("commit.h", "c->gap_count -= batch->taken;", "c->gap_count = 0;"),),
    ),
    "a count that failed stays": Bug(
        faults("enospc"),
        r"\(write count\): segment \d+ closed with counts \d+ 3 4 of 1024 3 4",
        (_header("commit.h", "c->count_due ? fr_commit_count(io, c) : 0,", "0,"),),
    ),
    "closed before its counts are right": Bug(
        faults("enospc"),
        r"\(write count\): segment \d+ closed with counts 1024 0 0 of 1024 3 4",
        (_header("durable.h", "d->retired = j;", "(void)j;"),),
    ),
    "an attempt at a segment is forgotten": Bug(
        faults("eio"),
        r"the disk is well again, but a commit fails: File exists",
        (_header("commit.h", "c->attempted = error != 0;", ""),),
    ),
    "what an attempt left is in the way": Bug(
        faults("halflink"),
        r"the disk is well again, but a commit fails: File exists",
        (_header("segment.h", "if (again)", "if (again < 0)"),),
    ),
    "what was given up is not written again": Bug(
        faults("eio"),
        r"\(write rows\): losses in the folder: missed 51 of 48",
        (_header("again.h", "c->cursor = from;", ""),),
    ),
    "losses told again are those of one": Bug(
        faults("eio"),
        r"\(write rows\): losses in the folder: missed 51 of 48, failed 15 of 16",
        (_header("again.h", "all[n++] = c->told[i].gap;", "all[n++] = c->told[0].gap;"),),
    ),
    "a file that was removed goes unnoticed": Bug(
        alone("removed"),
        r"that index\.000002\.npy was removed goes unnoticed",
        (_header("durable.h", "own = own ? own : fr_sync_look(io, d);", ""),),
    ),
    "what was durable of a removed file is not written again": Bug(
        alone("removed"),
        r"durable 2400, of what was removed",
        (_header("again.h", "from = first.first_seq;", ""),),
    ),
    "losses in a removed file are not told again": Bug(
        alone("removed"),
        r"63 losses of cause 3, not 72",
        (
            _header(
                "again.h",
                "n = fr_again_told(io, c, removed, count, safe, all);",
                "n = 0 * fr_again_told(io, c, removed, count, safe, all);",
            ),
        ),
    ),
    "a loss is told before all its numbers": Bug(
        faults("eio"),
        r"number \d+ held and lost",
        (
            _header(
                "losses.h",
                "gap->seq + (fr_gap_has_numbers(gap) ? gap->count : 0) <= seq",
                "gap->seq <= seq",
            ),
        ),
    ),
    "what the ring has lost is not read again": Bug(
        faults("rarely"),
        r"[1-9]\d* records lost, though their file still had them",
        (_header("again.h", "found = fr_again_block(io, c, &c->given_up[i], &next);", "(void)io;"),),
    ),
    "texts read again keep their ids": Bug(
        faults("rarely"),
        r"has text \d+ of \d+, which is another",
        (_header("lines.h", "id = s->lines->ids[id - 1];", ""),),
    ),
}

READER_BUGS = {
    "the earlier of two counts": Bug(
        Test("recording/test_reader.py::test_where_two_segments_hold_a_number_the_later_counts"),
        r"where False = is_status\(",
        (
            _reader("precedence", "for segment in reversed(segments):", "for segment in segments:"),
            _reader("precedence", "return pieces[::-1], gaps[::-1]", "return pieces, gaps"),
        ),
    ),
    "a gap stands for one number": Bug(
        Test("recording/test_verify.py::test_a_closed_recording"),
        r"records 2501 to 2599 are in no block and no gap",
        (_reader("precedence", 'own["seq"] + own["count"]', 'own["seq"] + 1'),),
    ),
    "what is retired counts as damage": Bug(
        Test("recording/test_reader.py::test_retired_segments_are_a_gap"),
        r"\(0, 2500, <Cause.RETIRED: 7>\)",
        (_reader("channel", "segments[0].number > 0 if segments else all_retired()", "0"),),
    ),
    "a torn tail counts as damage": Bug(
        Test("recording/test_ends.py::test_a_row_that_is_not_whole"),
        r"Left contains one more item: .* row 3 is unfinished and not committed",
        (
            _reader(
                "committed",
                '    index.tail.append(f"{where}: row',
                '    index.problems.append(f"{where}: row',
            ),
        ),
    ),
    "damage counts as a torn tail": Bug(
        Test("recording/test_verify.py::test_damage_is_named[index within]"),
        r"assert any\(message in problem",
        (_reader("committed", "    if more:\n", "    if not index:\n"),),
    ),
    "zones are believed": Bug(
        Test("recording/test_verify.py::test_damage_is_named[zone max]"),
        r"assert not True",
        (_reader("proving", "if not same_zone(", "if zone < 0 and not same_zone("),),
    ),
    "recover takes a block whose checksum is wrong": Bug(
        Test("recording/recovering/test_recover.py::test_a_damaged_block"),
        r"records 700 to 1023 \(rows 700 to 1023\) do not match their checksum",
        (
            _reader(
                "recovering/copying",
                "stop <= got and layout.crc32c(self._buffer[start:stop], seed) == crc",
                "stop <= got or layout.crc32c(self._buffer[start:stop], seed) == crc",
            ),
        ),
    ),
    "recover tells no loss": Bug(
        Test("recording/recovering/test_recover.py::test_a_damaged_block"),
        r"records 700 to 1023 are in no block and no gap",
        (_reader("recovering/saving", "        _tell_losses(channel, content, missing)\n", ""),),
    ),
    "salvaged rows are not marked": Bug(
        Test("recording/recovering/test_recover.py::test_no_index"),
        r"assert \{8\} == \{10\}",
        (
            _reader(
                "recovering/rewriting",
                "self._recut(data, number, layout.INDEX_UNPROVEN)",
                "self._recut(data, number, 0)",
            ),
        ),
    ),
    "salvaged rows are not told": Bug(
        Test("recording/recovering/test_recover.py::test_no_index"),
        r"assert \(\) == \(\(4500, 5999\),\)",
        (_reader("recovering/copying", "            self.unproven.append((start, start + taken))\n", ""),),
    ),
    "following begins again after a rotation": Bug(
        Test("recording/test_tail.py::test_across_rotation"),
        r"== \(\[21, 22, 23\], \[\]\)",
        (
            _reader(
                "tail",
                "self._segment, self._since, self._moved = number, None, Since(), True",
                "self._segment, self._since, self._moved, self._next = number, None, Since(), True, 0",
            ),
        ),
    ),
    "following reads all at each look": Bug(
        Test("recording/test_tail.py::test_a_look_reads_what_is_new"),
        r"assert 128 == 64",
        (_reader("tail", "self._segment, self._since = part, part.read", "self._segment = part"),),
    ),
    "a resume uses numbers twice": Bug(
        Test("test_resuming.py::test_damage_in_the_index_costs_no_number"),
        r"assert 1200 == 1400",
        (
            _reader(
                "writing/resuming",
                "max(content.end, _claimed(content.segments))",
                "content.end",
            ),
        ),
    ),
    "stamps stand still across a start of the machine": Bug(
        Test("test_resuming.py::test_stamps_increase_across_a_new_start[3600000000000]"),
        r"assert 3600000000000 <= ",
        (_reader("writing/resuming", "    return stamp - now.monotonic", "    return offset"),),
    ),
}

BUGS: dict[str, Bug] = {**RING_BUGS, **ORDER_BUGS, **DURABLE_BUGS, **FAULT_BUGS, **READER_BUGS}
"""What is wrong, by name."""
