"""Each seeded bug of the table is caught, for what it is, by a check that passes without it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import INCLUDE, build, run, seeded
from stress.mutants.table import BUGS, Change, Program, Test

import fastrec

pytestmark = pytest.mark.once  # programs of the headers, however they are installed

PACKAGE = Path(fastrec.__file__).parent
TESTS = Path(__file__).parents[2]

Result = subprocess.CompletedProcess[str]


def headers(folder: Path, *changes: Change | None) -> Path:
    """What to give `build` as ``include``: the headers with these changes."""
    include = INCLUDE
    for file, before, after in filter(None, changes):
        include = seeded(folder, Path(file).name, before, after, include=include)
    return include


def package(folder: Path, *changes: Change) -> Path:
    """A folder that has the package with these changes; all other files are links."""
    target = folder / "fastrec"
    shutil.copytree(PACKAGE, target, copy_function=os.symlink, ignore=shutil.ignore_patterns("*.c"))
    for file, before, after in changes:
        text = (target / file).read_text()
        assert text.count(before) == 1, f"{file} has {text.count(before)} times {before!r}"
        (target / file).unlink()
        (target / file).write_text(text.replace(before, after))
    return folder


def run_program(folder: Path, disk: Path, check: Program, *changes: Change | None) -> Result:
    """Run it until it finds something, as often as it may be."""
    program = build(folder, check.source, *check.flags, include=headers(folder, *changes))
    arguments = [disk if one == "DISK" else one for one in check.arguments]
    result = run(program, *arguments)
    for _ in range(check.tries - 1):
        if result.returncode:
            break
        result = run(program, *arguments)
    return result


def run_tests(folder: Path, nodes: list[str], *changes: Change) -> Result:
    """Tests of this suite on a copy of the package: an exit code of 1 says that one failed."""
    # Neither the working folder nor what is installed comes before the copy; no plug-in takes time to load.
    settings = {"PYTHONPATH": str(package(folder, *changes)), "PYTHONSAFEPATH": "1"}
    settings |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "400"}
    command = [sys.executable, "-m", "pytest", "-vv", "--tb=short", "-p", "no:cacheprovider"]
    command += ["--basetemp", str(folder / "tests"), "-c", str(TESTS.parent / "pyproject.toml")]
    return subprocess.run(
        [*command, *(str(TESTS / node) for node in nodes)],
        env=os.environ | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_is_caught(tmp_path: Path, fast_disk: Path, name: str) -> None:
    bug = BUGS[name]
    if isinstance(bug.check, Program):
        result = run_program(tmp_path, fast_disk, bug.check, bug.setting, *bug.changes)
    else:
        result = run_tests(tmp_path, [bug.check.node], *bug.changes)
    told = result.stdout[-3000:] + result.stderr[-1000:]
    assert result.returncode == 1, told
    assert re.search(bug.says, result.stdout), told


PROGRAMS = {
    " ".join([bug.check.source, *bug.check.arguments, *(["with a setting"] if bug.setting else [])]): (
        bug.check,
        bug.setting,
    )
    for bug in BUGS.values()
    if isinstance(bug.check, Program)
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_content_without_a_bug(tmp_path: Path, fast_disk: Path, name: str) -> None:
    check, setting = PROGRAMS[name]
    result = run_program(tmp_path, fast_disk, check._replace(tries=1), setting)
    assert result.returncode == 0, result.stdout[-3000:]


def test_the_tests_pass_on_a_copy_without_a_bug(tmp_path: Path) -> None:
    nodes = sorted({bug.check.node for bug in BUGS.values() if isinstance(bug.check, Test)})
    result = run_tests(tmp_path, nodes)
    assert result.returncode == 0, result.stdout[-3000:]
    assert f"{len(nodes)} passed" in result.stdout
