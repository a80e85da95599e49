"""``linux:rusage``: the kernel's numbers as Python's own module has them."""

from __future__ import annotations

import mmap
import resource
import time

import fastrec as fr

WHOLE = [name for name in dir(resource.getrusage(resource.RUSAGE_SELF)) if name.startswith("ru_")]


def test_every_member_at_a_moment() -> None:
    """One call between two of Python's: what never falls is in between, and nothing is left out."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    read = fr.linux.rusage().read()
    after = resource.getrusage(resource.RUSAGE_SELF)
    for name in ("ru_utime", "ru_stime"):
        read[name] = read.pop(f"{name}.tv_sec") + read.pop(f"{name}.tv_usec") / 1e6
        assert getattr(before, name) - 1e-6 <= read.pop(name) <= getattr(after, name) + 1e-6
    assert {*read, "ru_utime", "ru_stime"} == set(WHOLE)
    for name, value in read.items():
        assert getattr(before, name) <= value <= getattr(after, name), name


def test_unused_members_say_so_and_are_zero() -> None:
    source = fr.linux.rusage()
    unused = [field.name for field in source.schema.fields if field.doc.startswith("always 0")]
    assert len(unused) == 7 and all(source.read()[name] == 0 for name in unused)


def test_units() -> None:
    """A page is touched, a processor is used: members move by what was done, in the unit they name."""
    source = fr.linux.rusage()
    before, size = source.read(), 64 << 20
    memory = mmap.mmap(-1, size)  # new pages: a heap may have some to give back
    memory[:: resource.getpagesize()] = b"x" * len(memory[:: resource.getpagesize()])
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    after = source.read()
    units = {field.name: field.unit for field in source.schema.fields if field.unit}
    assert (
        units["ru_maxrss"] == "KiB" and units["ru_utime.tv_usec"] == "us" and units["ru_inblock"] == "512 B"
    )
    assert after["ru_maxrss"] * 1024 >= size
    assert after["ru_minflt"] > before["ru_minflt"]
    used = [
        sum(one[f"{kind}.tv_sec"] * 10**6 + one[f"{kind}.tv_usec"] for kind in ("ru_utime", "ru_stime"))
        for one in (before, after)
    ]
    assert used[1] - used[0] >= 45_000
