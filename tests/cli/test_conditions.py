"""What ``--where`` takes besides FIELD=VALUE, whose tests are with the verbs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recording.samples import PERIOD, status, status_channel
from recording.writer import CREATED_NS, START_NS, Folder

import fastrec as fr
from fastrec.cli.conditions import Condition, condition

Run = Callable[..., str]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("mode=RUN", "mode", "RUN"),
        ("url=http://a?b==c&d<=e", "url", "http://a?b==c&d<=e"),
        ("url=", "url", ""),
        ("url='a=b'", "url", "'a=b'"),
        ("it's=5", "it's", "5"),
        ("cells[3]=-5", "cells[3]", "-5"),
        ("mode = RUN", "mode ", " RUN"),
        ("tick => 5", "tick ", "> 5"),
        ("mode == RUN", None, None),
        ("tick<=5", None, None),
        ("tick!=5 and mode=RUN", None, None),
        ("tag in ('a=b', \"c=d\") or `e=f` > 1", None, None),
        (r"tag == 'a\'=b'", None, None),
        ("changed(mode)", None, None),
        ("enabled", None, None),
    ],
)
def test_how_they_are_told_apart(text: str, field: str | None, value: str | None) -> None:
    assert condition(text) == Condition(text, field, value)


@pytest.mark.parametrize("text", ["", " ", "=", "=5", "== 5"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write FIELD=VALUE, or an expression such as"):
        condition(text)


def numbers(command: Run, *arguments: object) -> list[int]:
    return [json.loads(line)["seq"] for line in command("cat", *arguments, "--json").splitlines()]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("tick < 21",), [0, 1, 2]),
        (("-1 < tick and tick < 21",), [0, 1, 2]),
        (("tick & 7 == 0 and mode in (IDLE, RUN)",), [8, 16]),
        (("temp < 1.0", "mode=RUN"), [2]),
        (("mode=RUN", "url == null", "tick > 100 or temp < 0"), [17]),
        (("tick == 7 or tick == 14", "tick == 7 or tick == 21"), [1]),
        (("url != null and url != 'http://a'",), [8, 9, 10, 11]),
        (("url=http://a", "mode=IDLE"), [1]),
        (("mode=RUN", "mode=IDLE"), []),
        (("tick < 0",), []),
    ],
)
def test_all_of_them_count(bench: Path, command: Run, arguments: tuple[str, ...], found: list[int]) -> None:
    asked = [part for one in arguments for part in ("--where", one)]
    assert numbers(command, "small.fastrec", *asked) == found
    if found:
        assert numbers(command, "small.fastrec", *asked, "--last", 1) == found[-1:]
        assert command("export", "small.fastrec", "-o", "x.csv", *asked).startswith(f"x.csv: {len(found)} ")
        played = command("play", "small.fastrec", "--speed", "max", "--quiet", *asked)
        assert [json.loads(line)["seq"] for line in played.splitlines()] == found


def test_a_field_may_be_called_anything(tmp_path: Path, command: Run) -> None:
    schema = fr.Schema.from_dtype([("a <b", "<i4"), ("in", "<i4")], name="s")
    with fr.Recorder(tmp_path / "x.fastrec") as rec:
        rec.add("c", schema=schema).extend(np.array([(0, 5), (5, 6)], schema.dtype))
    for asked in ("a <b=5", "`a <b` == 5", "in=6", "`in` == 6"):
        assert numbers(command, tmp_path / "x.fastrec", "--where", asked) == [1], asked


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``slow.fastrec``: ``status`` whose url changes at 64, 700 and 701; parts are read by 64 and more."""
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path / "slow.fastrec")
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    segment = status_channel(folder).segment()
    segment.commit(
        0, [status(n, url=1 + (n >= 64) - (n == 700)) for n in range(1000)], texts=["a", "b"], durable=0
    )
    return tmp_path


def test_what_has_changed_is_asked_of_all_records(slow: Path, command: Run, refused: Run) -> None:
    """Not part by part, and not of those that another condition left."""
    run = "slow.fastrec"
    assert numbers(command, run, "--where", "changed(url)") == [64, 700, 701]
    assert numbers(command, run, "--where", "mode=RUN", "--where", "changed(url)") == [701]
    assert numbers(command, run, "--where", "tick < 4480", "--where", "changed(url)") == [64]
    assert numbers(command, run, "--where", "changed(url)", "--where", "not changed(mode)") == []
    assert numbers(command, run, "--where", "changed(url)", "--last", 2) == [700, 701]
    window = ("--between", START_NS + 700 * PERIOD, "end")
    assert numbers(command, run, "--where", "changed(url)", *window) == [701]
    for more in (), ("--last", "1"):
        assert "leave out changed()" in refused(1, "cat", run, "--follow", "--where", "changed(url)", *more)


@pytest.mark.parametrize(
    ("asked", "channels"),
    [
        ("tick < 70 and mode == RUN", {"status"}),
        ("level == 2 or level == 3", {"held"}),
        (f"mono_ns < {START_NS + 3 * PERIOD}", {"held", "status"}),
        ("polls > 2", {"held"}),
        ("has(mode, RUN)", {"status"}),
        ("true", {"held", "status"}),
    ],
)
def test_channels_without_the_fields_are_left_out(
    two_channels: Path, command: Run, asked: str, channels: set[str]
) -> None:
    window = ("--between", "+0s", "+200ms")
    text = command("cat", "large.fastrec", "--where", asked, "--json", *window)
    assert {json.loads(line)["channel"] for line in text.splitlines()} == channels


def test_what_is_a_field_here_may_be_a_label_there(tmp_path: Path, command: Run) -> None:
    with fr.Recorder(tmp_path / "x.fastrec") as rec:
        one = fr.Schema.from_dtype([("mode", "<i4")], labels={"mode": {"RUN": 1}})
        rec.add("a", schema=one).push(np.array((1,), one.dtype))
        rec.add("b", schema=[("RUN", "<i4")]).push(bytes(4))
    text = command("cat", tmp_path / "x.fastrec", "--where", "mode == RUN", "--json")
    assert [json.loads(line)["channel"] for line in text.splitlines()] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--where", "mode == RNU"), "'mode == RNU' at column 9: there is no label 'RNU'; did you"),
        (
            ("status", "--where", "tick < 5 annd 1"),
            "at column 10: 'annd' is no operator; did you mean 'and'?",
        ),
        (("status", "--where", "tick"), "'tick' at column 1: 'tick' is no flag"),
        (("status", "--where", "mode = RUN"), "'mode = RUN' at column 6: '=' is no operator; write =="),
        (("status", "--where", "-5 > tik"), "'-5 > tik' at column 6: no field 'tik' in status; did you mean"),
        (
            ("status", "--where", "tick < 5", "--where", "(tick"),
            "'(tick' at column 1: this ( is never closed",
        ),
        (("status", "--where", "tick < 5", "--where", "tick > x"), "'tick > x' at column 8: "),
        (("--where", "tik < 5"), "at column 1: no field 'tik' in held, status; did you mean 'tick'?"),
        (
            ("--where", "tick < 5 and tik > 3"),
            "at column 14: 'status' has no field 'tik'; did you mean 'tick'?",
        ),
        (("--where", "level < 1 and tick < 5"), "none of held, status has all the fields level, tick"),
        (
            ("--where", "level < 1", "--where", "tick=5"),
            "none of held, status has all the fields tick, level",
        ),
        (("--between", "+0s", "+0s", "--where", "mode == RNU"), "did you mean 'RUN'"),
    ],
)
def test_what_makes_no_sense(two_channels: Path, refused: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(1, "cat", "large.fastrec", *arguments)
