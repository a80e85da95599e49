"""Texts that are read on from where the last reading ended, also where their lines are damaged there."""

from __future__ import annotations

from pathlib import Path

import pytest
from recording import writer

from fastrec.errors import RecordingError
from fastrec.recording import layout
from fastrec.recording.texts import StoredTexts

TEXTS = ["one", "two*", "three", "four", "five"]


def lines() -> list[bytes]:
    base = layout.place(writer.UUID, "status", 0)
    return [
        layout.seal_json({"id": number + 1, "text": text}, layout.seed_at(base, number))
        for number, text in enumerate(TEXTS)
    ]


def read(tmp_path: Path, whole: list[bytes], stops: list[int]) -> list[str | None]:
    """The texts after readings up to some lines; None in the place of a damaged one."""
    (tmp_path / "strings").write_bytes(b"".join(whole))
    texts = StoredTexts(tmp_path, ("strings",), layout.place(writer.UUID, "status", 0))
    found: list[str | RecordingError] = []
    for stop in stops:
        found = texts.upto(sum(map(len, whole[:stop])))
    return [None if isinstance(text, RecordingError) else text for text in found]


@pytest.mark.parametrize("stops", [[5], [2, 5], [1, 2, 3, 4, 5], [3, 3, 5]], ids=str)
def test_whole_lines(tmp_path: Path, stops: list[int]) -> None:
    assert read(tmp_path, lines(), stops) == TEXTS


@pytest.mark.parametrize("stops", [[5], [2, 5], [1, 2, 3, 5]], ids=str)
def test_a_line_in_two_pieces_shifts_none_behind_it(tmp_path: Path, stops: list[int]) -> None:
    whole = lines()
    whole[1] = whole[1].replace(b"*", b"\n")
    assert read(tmp_path, whole, stops) == ["one", None, "three", "four", "five"]


@pytest.mark.parametrize("stops", [[5], [2, 5], [1, 2, 3, 5]], ids=str)
def test_a_damaged_line_end_shifts_none_behind_it(tmp_path: Path, stops: list[int]) -> None:
    whole = lines()
    whole[1] = whole[1].replace(b"\n", b"\v")
    found = read(tmp_path, whole, stops)
    assert found[0] == "one" and found[3:] == ["four", "five"]
    assert found[1] is None and found[2] == ("three" if stops != [5] else None)


def test_texts_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "strings").write_bytes(b"".join(lines()))
    texts = StoredTexts(tmp_path, ("strings",), layout.place(writer.UUID, "status", 0))
    assert texts.upto(1 << 63)[:5] == TEXTS
    assert texts.upto((1 << 64) - 1)[:5] == TEXTS
