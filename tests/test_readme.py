"""The README is true: its code runs, its commands work, what it counts is so."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np

import fastrec
from fastrec.core.poller import MOST_CHANNELS
from fastrec.records import Records
from fastrec.records.chunks import ArrayChunk
from fastrec.schema import Flags
from fastrec.schema.forms import COLUMNS
from fastrec.schema.gaps import GAP_DTYPE, Cause

README = Path(__file__).parents[1] / "README.md"

SOURCE = Path(fastrec.__file__).parents[1]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_first_screen_runs(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks("python")[0]],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "<Records cpu: 5" in result.stdout
    assert (tmp_path / "bench.fastrec" / "closed.json").exists()


def test_commands_work(tmp_path: Path) -> None:
    """Every `fastrec` line of the tour, in order."""
    (tour,) = (block for block in blocks("sh") if "fastrec info" in block)
    for line in tour.splitlines():
        command = shlex.split(line, comments=True)
        assert command[0] == "fastrec"
        result = subprocess.run(
            [sys.executable, "-m", "fastrec", *command[1:]],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == 0 and result.stdout and not result.stderr, (line, result.stderr)
    assert sorted(os.listdir(tmp_path)) == ["run.fastrec", "saved.fastrec", "usage.csv"]


MOTOR = """
#include <stdint.h>
#ifndef CELLS
#define CELLS 6
#endif
typedef enum { IDLE, RUN = 2, FAULT = -1 } motor_mode;
typedef struct motor_status {
    uint32_t size;
    motor_mode mode; // what it does
    uint16_t cells[CELLS];
    uint16_t word;
    int32_t angle;
    unsigned enabled : 1, error : 7;
} motor_status;
int get_status(int axis, motor_status *status);
"""

DRIVER = """
#include "motor.h"
int get_status(int axis, motor_status *status) { status->word = 0x27; status->angle = axis; return 0; }
"""


def test_any_struct_is_recorded_as_it_says(tmp_path: Path) -> None:
    """The section on structs, block by block, with a library that it does not know."""
    (tmp_path / "motor.h").write_text(MOTOR)
    (tmp_path / "motor.c").write_text(DRIVER)
    subprocess.run(
        ["gcc", "-g", "-shared", "-fPIC", "motor.c", "-o", "libmotor.so"], cwd=tmp_path, check=True
    )
    section = README.read_text().partition("## Any C struct\n")[2].partition("\n## ")[0]
    schemas, bench = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "bench.py").write_text(bench)
    (tmp_path / "schemas.py").write_text(f"import fastrec as fr\n{schemas}\nassert foreign.size == 36\n")
    subprocess.run([sys.executable, "-W", "error", "schemas.py"], cwd=tmp_path, timeout=120, check=True)
    commands = "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).splitlines()
    assert len(commands) == 7
    for line in commands:
        command = shlex.split(line, comments=True)
        result = subprocess.run(
            [sys.executable, "-m", "fastrec", *command[1:]],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == 0 and result.stdout, (line, result)
        assert not result.stderr, (line, result.stderr)
    assert set(fastrec.open(tmp_path / "bench.fastrec")) == {"axis0", "axis1", "axis2"}
    motor = fastrec.open(tmp_path / "motor.fastrec")["get_status"]
    assert (motor["word"] == 0x27).all() and (motor["angle"] == 3).all()


def test_a_command_is_recorded_as_it_says(tmp_path: Path) -> None:
    (line,) = (line for block in blocks("sh") for line in block.splitlines() if "soak.sh" in line)
    (tmp_path / "soak.sh").write_text('#!/bin/sh\necho "$*"\nexit 3\n')
    (tmp_path / "soak.sh").chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-m", "fastrec", *shlex.split(line, comments=True)[1:]],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (3, "--hours 2\n"), result
    started, ended = (mark.text for mark in fastrec.open(tmp_path / "soak.fastrec").marks)
    said = re.sub(r"\d+$", "4711", started), re.sub(r"after .*", "after 1.25 s", ended)
    assert all(f"`{text}`" in README.read_text() for text in said)


def test_triggers_do_what_it_says(tmp_path: Path) -> None:
    """The code, about a source that has such fields, and the command."""
    (code,) = (block for block in blocks("python") if "rec.trigger(" in block)
    begin = """
import numpy as np, fastrec as fr, time
fields = [("hr", "<i4"), ("mode", "<i4"), ("temp", "<f8"), ("serial", "<u4")]
schema = fr.Schema.from_dtype(np.dtype(fields), labels={"mode": {"RUN": 1, "FAULT": 2}})
calls = []
def get():
    calls.append(1)
    return np.array((-(len(calls) > 50), 1 + (len(calls) < 70), 20, 7), schema.dtype)
source = fr.PyCall(get, schema=schema)
"""
    wait = "    while len(calls) < 300: time.sleep(0.01)\nfor name, window"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", begin + code.replace("for name, window", wait)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    run = fastrec.open(tmp_path / "bench.fastrec")
    assert {mark.text for mark in run.marks} == {"hr < 0", "mode == FAULT no more", "operator saw smoke"}
    assert "`bench.fastrec/windows/000001-hr-lt-0.fastrec`" in README.read_text()
    assert {name.partition("-")[2] for name in run.windows} >= {"hr-lt-0.fastrec", "fire.fastrec"}
    (command,) = (line for block in blocks("sh") for line in block.splitlines() if "--fail-on" in line)
    result = subprocess.run(
        [sys.executable, "-m", "fastrec", *shlex.split(command)[1:], "--records", "50"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "") and "fired 0 times" in result.stdout


def test_expressions_say_what_it_says() -> None:
    """Every line of the section, about a struct that has such fields; what it ends with is no part of it."""
    section = README.read_text().partition("## Expressions\n")[2].partition("\n## ")[0]
    (listed,) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    motor = np.dtype([("pos", "<f4")])
    fields = [("hr", "<i4"), ("mode", "<i4"), ("temp", "<f8"), ("word", "<u2"), ("angle", "<i4")]
    fields += [("uptime", "<u4"), ("flags", "<u4"), ("url", "<u8"), ("motors", motor, 2)]
    labels = {"mode": {"RUN": 1, "FAULT": 2, "OUT OF SERVICE": 3}, "flags": Flags({"READY": 1, "ONLINE": 2})}
    schema = fastrec.Schema.from_dtype(
        [*fields, ("cells", "<u2", 6), ("in", "u1")], labels=labels, units={"uptime": "ms"}
    ).with_field("url", text=True)
    rows = np.zeros(2, schema.record("every"))
    for name, value in {"mode": 2, "temp": np.nan, "flags": 3, "in": 1, "uptime": 51, "word": 0x2A}.items():
        rows[name][1] = value
    rows["angle"] = 100, 80
    chunk = ArrayChunk(rows, text=lambda identifier: None)
    records = Records("plant", schema, [chunk], gaps=np.empty(0, GAP_DTYPE), clock=None)
    found = {
        line.partition("  ")[0]: records.where(line.partition("#")[0]).seq.tolist()
        for line in listed.splitlines()
    }
    nulls = "url == null or url == lost or url == 'http://a'"
    assert found.pop("hr < 0 and not (mode == RUN or 0 <= temp < 2.5e3)") == []
    assert found.pop("abs(angle - 90) * 2 > temp / 3 + 1") == [0]
    assert found.pop(nulls) == [0, 1]
    assert len(found) == 7 and set(map(tuple, found.values())) == {(1,)}, found


def test_what_it_counts_is_so() -> None:
    text = README.read_text()
    assert f"at most {MOST_CHANNELS} channels;" in text
    assert "a row each: " + ", ".join(f"`{name}`" for name in GAP_DTYPE.names) in text
    assert ", ".join(f"{cause.value} {cause.name.lower()}" for cause in Cause) in text
    assert all(f"`{name}`" in text for name, _ in COLUMNS)


def test_what_needs_an_extra_says_so_and_what_records_ends() -> None:
    lines = "".join(blocks("sh")).splitlines()
    assert all("needs pyelftools" in line for line in lines if "schema" in line and "libmotor.so" in line)
    for line in re.findall(r"fastrec record .*\.py[^`\n]*", README.read_text()):
        assert "--duration" in line, line


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (SOURCE / target).exists(), target


def test_rooms_are_there() -> None:
    table = README.read_text().partition("## The house")[2]
    for room in re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", table, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", room):
            assert (SOURCE / "fastrec" / name).exists(), name
