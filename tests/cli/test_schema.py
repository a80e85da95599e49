"""``fastrec schema``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fastrec.cli import main
from fastrec.schema import Schema
from fastrec.schema.render import FORMS

Run = Callable[..., str]

TEXT = """\
enum mode { IDLE, RUN = 5 };
struct motor {
    char id;
    enum mode mode; /* what it does */
    unsigned a : 3, b : 7;
    double angle[2];
    char name[5];
};
struct pump { int on; };
"""


@pytest.fixture
def header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("motor.h").write_text(TEXT)
    return tmp_path


def test_fields_and_holes(header: Path, command: Run) -> None:
    lines = command("schema", "motor.h:motor", "--abi", "sysv-x64").splitlines()
    assert lines[0] == "motor: 40 bytes, sysv-x64"
    assert [line.split() for line in lines[2:-1]] == [
        ["0", "1", "S1", "id"],
        ["1", "3", "-", "padding"],
        ["4", "4", "u4", "mode", "what", "it", "does;", "IDLE=0,", "RUN=5"],
        ["8:0", "1", "u4:3", "a"],
        ["8:3", "2", "u4:7", "b"],
        ["10", "6", "-", "padding"],
        ["16", "16", "f8[2]", "angle"],
        ["32", "5", "S5", "name"],
        ["37", "3", "-", "padding"],
    ]
    digest = Schema.from_c(TEXT, "motor", abi="sysv-x64").digest
    assert lines[-1] == f"6 fields, digest {digest}"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_what_the_schema_writes(form: str, header: Path, command: Run) -> None:
    assert command("schema", "motor.h:motor", "--as", form) == Schema.from_c(TEXT, "motor").to(form)


def test_another_name(header: Path, command: Run) -> None:
    assert "} drive;" in command("schema", "motor.h:motor", "--as", "c", "--name", "drive")


def test_fields_as_json(header: Path, command: Run) -> None:
    about = json.loads(command("schema", "motor.h:motor", "--json"))
    schema = Schema.from_c(TEXT, "motor")
    assert (about["name"], about["size"], about["digest"]) == ("motor", schema.size, schema.digest)
    mode = about["fields"][1]
    assert (mode["name"], mode["offset"], mode["size"], mode["type"]) == ("mode", 4, 4, "<u4")
    assert (mode["labels"], mode["enumerators"]) == ("enum", {"IDLE": 0, "RUN": 5})
    assert about["fields"][3]["bits"] == [3, 7]


def test_options_of_c(header: Path, command: Run) -> None:
    Path("n.h").write_text("struct n { char c; long l[N]; };\n")
    assert ": 24 bytes" in command("schema", "n.h", "-D", "N=2", "--abi", "sysv-x64")
    assert ": 9 bytes" in command("schema", "-DN=2", "n.h", "--abi", "msvc-x64", "--pack", "1")


def test_what_differs(header: Path, command: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("schema", "diff", "motor.h:motor", "motor.h:motor") == ""
    assert json.loads(command("schema", "diff", "motor.h:pump", "motor.h:pump", "--json")) == []
    Path("new.h").write_text(TEXT.replace("double angle[2]", "float angle[2]").replace("char id;", ""))
    assert main(["schema", "diff", "motor.h:motor", "new.h:motor"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "'id': removed" in out and "'angle'" in out
    assert main(["schema", "diff", "motor.h:motor", "new.h:motor", "--json"]) == 1
    changes = json.loads(capsys.readouterr().out)
    assert {"id", "angle"} <= {change["field"] for change in changes}


def test_what_does_not_change_the_bytes_is_told_and_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "struct cell {{ int x; /* {} */ {} y; }};\nstruct a {{ struct cell cells[3]; char c; }};\n"
    for name, words in (("a", ("old", "float")), ("b", ("new", "float")), ("c", ("old", "double"))):
        Path(f"{name}.h").write_text(text.format(*words))
    assert main(["schema", "diff", "a.h:a", "b.h:a"]) == 0
    assert capsys.readouterr().out == "'cells[0].x': doc 'old' -> 'new' (and 2 more elements)\n"
    assert main(["schema", "diff", "a.h:a", "c.h:a"]) == 1
    assert "'cells[0].y': widened <f4 -> <f8 (and 2 more elements)\n" in capsys.readouterr().out
    assert main(["schema", "diff", "a.h:a", "c.h:a", "--json"]) == 1
    assert sum(one["kind"] == "widened" for one in json.loads(capsys.readouterr().out)) == 3


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (1, ["motor.h"], "'motor'"),
        (1, ["motor.h:moter"], "did you mean 'motor'"),
        (1, ["moter.h:motor"], "did you mean 'motor.h'"),
        (1, ["motor.h:motor", "--abi", "msvc"], "msvc-x64"),
        (2, ["motor.h:motor", "--as", "cc"], "did you mean 'c'"),
        (2, ["motor.h:motor", "--as", "c", "--json"], "--as and --json"),
        (2, ["motor.h:motor", "motor.h:pump"], "one place at a time"),
        (2, ["diff", "motor.h:motor"], "two places"),
        (2, ["diff", "motor.h:motor", "motor.h:pmup"], "did you mean 'pump'"),
        (2, ["diff", "moter.h:motor", "motor.h:pump"], "did you mean 'motor.h'"),
        (2, ["diff", "linux:nope", "motor.h:pump"], "no getter 'nope'"),
        (2, ["diff", "motor.h:motor", "motor.h:pump", "--as", "c"], "no --as"),
        (2, ["motor.h:motor", "-D", "1=2"], "names no macro"),
        (2, ["motor.h:motor", "--pack", "3"], "--pack"),
        (2, [], "PLACE"),
    ],
)
def test_one_line_says_what_is_wrong(
    header: Path, refused: Run, code: int, arguments: list[str], message: str
) -> None:
    assert message in refused(code, "schema", *arguments)


@pytest.mark.parametrize("form", [[], ["--as", "c"], ["--json"]])
def test_a_field_that_has_another_name_here(
    form: list[str], header: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("held.h").write_text(
        "struct h { int mono_nso; struct { int x; } polls[2]; long until_ns, polls_; };"
    )
    assert main(["schema", "held.h:h", *form]) == 0
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"fastrec: {old} is a column of the recorder; a field of this name is called {new}"
        for old, new in (("polls", "polls__ or polls_"), ("until_ns", "until_ns_"))
    ]
