from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from fastrec.cli import output
from fastrec.schema import LOST


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("Grüße 名 🙂", "Grüße 名 🙂"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\r\n\tb\x00\x7f", "a\\r\\n\\tb\\x00\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\u200f\u061c\ufeff", "\\u200f\\u061c\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff", "\\udcff"),
    ],
)
def test_nothing_that_a_terminal_obeys_gets_through(text: str, shown: str) -> None:
    assert output.visible(text) == shown


def test_no_character_at_all_moves_a_terminal() -> None:
    control = [
        chr(code) for code in [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    ]
    assert all(output.visible(one).isascii() and output.visible(one).isprintable() for one in control)


def test_what_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    output.say("12 µs \udcff")
    stream.flush()
    assert stream.buffer.getvalue() == b"12 \\xb5s \\udcff\n"


def test_cells() -> None:
    values = ["RUN", "", "a\nb", None, LOST, True, 7, -0.5, [1, [2, "x"]], float("nan")]
    assert [output.cell(value) for value in values] == [
        "RUN",
        '""',
        "a\\nb",
        "NULL",
        "LOST",
        "true",
        "7",
        "-0.5",
        "[1 [2 x]]",
        "nan",
    ]


def test_json_is_strict_ascii_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"x": [float("nan"), float("-inf"), 1.5, None, True], "t": "\udcff€\x7f\x1b", 2: 2**64 - 1}
    output.say_json(value, indent=None)
    text = capsys.readouterr().out

    def never(constant: str) -> None:
        raise AssertionError(constant)

    assert text.isascii() and text[:-1].isprintable()
    assert json.loads(text, parse_constant=never) == {
        "x": ["NaN", "-Infinity", 1.5, None, True],
        "t": "\\udcff€\x7f\x1b",
        "2": 2**64 - 1,
    }


def test_tables_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([("a", "1", "x"), ("long", "100", "")], indent="  ", right=(1,))
    assert capsys.readouterr().out == "  a       1  x\n  long  100\n"
    output.table([])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (999_999, "1 MB"), (145_200, "145 kB")],
)
def test_sizes(count: int, text: str) -> None:
    assert output.byte_count(count) == text


def test_counts_of_things() -> None:
    assert (output.plural(1, "gap"), output.plural(0, "gap"), output.plural(3000, "gap")) == (
        "1 gap",
        "0 gaps",
        "3,000 gaps",
    )


def test_a_folder_is_as_large_as_its_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    (tmp_path / "big").write_bytes(bytes(100_000))
    (tmp_path / "in" / "link").symlink_to(tmp_path / "big")
    link = (tmp_path / "in" / "link").lstat().st_size
    assert output.folder_bytes(tmp_path) == 100_008 + link
