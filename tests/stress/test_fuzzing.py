"""The fuzzer finds nothing in what reads files and rings that anybody may have made; and it would find it.

What it ever found, and what leads it everywhere, is kept in ``corpus/TARGET``, and is tried each time without
it. For hours, so many seconds per target: ``FASTREC_FUZZ_SECONDS=3600 pytest -m stress
tests/stress/test_fuzzing.py``.
"""

from __future__ import annotations

import base64
import os
import platform
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from programs import INCLUDE, SOURCES, seeded
from stress import forging, fuzz_seeds, packing
from stress.fuzz_targets import FOCUS, TARGETS
from stress.planted import BUGS, RING_BUGS

import fastrec as fr

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
SECONDS = int(os.environ.get("FASTREC_FUZZ_SECONDS", "30"))
HOURS = int(os.environ.get("FASTREC_FUZZ_SECONDS", "3600"))
LIMITS = ["-timeout=60", "-report_slow_units=60", "-rss_limit_mb=8192", "-print_final_stats=1"]
"""Seconds for one input on a busy machine, and all memory; what each target may take for an input is less."""

MOST = {"ring": 1024, "schema": 4096, "c": 4096}
"""Bytes of an input."""

x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="atheris is there for x86-64 alone")

Done = subprocess.CompletedProcess


def ring_fuzzer(folder: Path, *flags: str, include: Path = INCLUDE) -> Path:
    """The fuzzer of rings; no other compiler has one. No sanitizer sees into the assembly of a copy."""
    folder.mkdir(parents=True, exist_ok=True)
    warnings = ["-Wall", "-Wextra", "-Werror"]
    sanitize = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-DFR_RACE_CHECK"]
    command = ["clang", "-std=gnu11", "-O2", "-g", *warnings, *sanitize, "-pthread", *flags]
    target = folder / "fuzz_ring"
    subprocess.run([*command, f"-I{include}", SOURCES / "fuzz_ring.c", "-o", target], check=True)
    return target


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ring_fuzzer(tmp_path_factory.mktemp("ring"))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs made anew, so that some are of today's format whatever is kept."""
    folder = tmp_path_factory.mktemp("seeds")
    fuzz_seeds.main(str(folder))
    fuzz_seeds.dictionary(folder / "c.dict")
    (folder / "ring").mkdir()
    return folder


def fuzz(
    program: list[object], target: str, seeds: Path, folder: Path, *options: str, kept: bool = True
) -> Done:
    """One run of a fuzzer; what it finds is in `folder`."""
    (folder / "more").mkdir(parents=True)
    words = [f"-dict={seeds / 'c.dict'}"] if target == "c" else []
    if kept:
        places = [folder / "more", seeds / target, CORPUS / target]
    else:
        # Those that are the same every time, so that the same is found.
        some = [path for path in sorted((seeds / target).iterdir()) if path.name not in fuzz_seeds.RECORDED]
        places = [f"-seed_inputs={','.join(map(str, some))}", folder / "more"] if some else [folder / "more"]
    most = f"-max_len={MOST.get(target, 65536)}"
    command = [*program, *LIMITS, *words, most, f"-artifact_prefix={folder}/", *options, *places]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )


def found(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


def together(jobs: Iterable[Callable[[], str]]) -> list[str]:
    """What is wrong; two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return [wrong for wrong in pool.map(lambda job: job(), jobs) if wrong]


def fuzz_all(ring: Path, seeds: Path, tmp_path: Path, seconds: int, *options: str) -> None:
    def job(target: str) -> str:
        program = [ring] if target == "ring" else [sys.executable, HERE / "fuzz.py", target]
        folder = tmp_path / target
        done = fuzz(program, target, seeds, folder, f"-max_total_time={seconds}", *options)
        if not done.returncode and not found(folder):
            return ""
        inputs = "\n".join(base64.b64encode(path.read_bytes()).decode() for path in found(folder))
        return f"{target}: {done.stderr[-3000:]}\nTo be kept in {CORPUS / target}, decoded:\n{inputs}"

    wrong = together([partial(job, target) for target in (*TARGETS, "ring")])
    assert not wrong, "\n\n".join(wrong)


@x86
@pytest.mark.once
def test_fuzz(ring: Path, seeds: Path, tmp_path: Path) -> None:
    fuzz_all(ring, seeds, tmp_path, SECONDS, "-seed=1")  # a chance find is for the long runs


@x86
@pytest.mark.stress
def test_fuzz_for_hours(ring: Path, seeds: Path, tmp_path: Path) -> None:
    fuzz_all(ring, seeds, tmp_path, HOURS)


# What was kept


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs(target: str) -> None:
    paths = sorted((CORPUS / target).iterdir())
    assert len(paths) > 10
    done = subprocess.run(
        [sys.executable, HERE / "fuzz_targets.py", target, *paths],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_kept_rings(ring: Path) -> None:
    paths = sorted((CORPUS / "ring").iterdir())
    assert len(paths) > 10
    done = subprocess.run(
        [ring, *LIMITS, *paths], capture_output=True, text=True, errors="replace", timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Running: {paths[-1]}" in done.stderr


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 300_000


# The mutator


@pytest.mark.parametrize("name", fuzz_seeds.RECORDINGS)
def test_seeds_are_sound(seeds: Path, tmp_path: Path, name: str) -> None:
    files = packing.unpack((seeds / "reader" / name).read_bytes())
    assert packing.unpack(packing.pack(files)) == files
    run = fr.open(packing.Folder(tmp_path / "r").become(files))
    assert run.verify().ok and sum(map(len, run.values()))
    # Where nothing is changed, no checksum is.
    assert forging.sealed(files) == files


@pytest.mark.parametrize("target", FOCUS)
def test_a_forgery_passes_every_checksum(seeds: Path, target: str) -> None:
    """Seven of eight do, with the mutator; without, those that lost a whole file."""
    data = (seeds / target / "both").read_bytes()
    whole = {}
    for fixing in (True, False):
        made = [
            packing.unpack(forging.forged(data, number, FOCUS[target], lambda one, most: one, fixing=fixing))
            for number in range(200)
        ]
        changed = [files for files in made if files != packing.unpack(data)]
        whole[fixing] = sum(files == forging.sealed(files, blocks=False) for files in changed) / len(changed)
    assert whole[True] > 0.8 and whole[False] < 0.5, whole


def test_forgeries_are_the_same_every_time(seeds: Path) -> None:
    data = (seeds / "reader" / "both").read_bytes()
    rng = random.Random(1)
    mutate = lambda one, most: rng.randbytes(len(one))  # noqa: E731
    first = [forging.forged(data, number, FOCUS["reader"], mutate) for number in range(50)]
    rng.seed(1)
    assert first == [forging.forged(data, number, FOCUS["reader"], mutate) for number in range(50)]
    assert len(set(first)) > 45


# Planted bugs: each is found, from sound inputs alone; behind a checksum only where checksums are made right.

RUNS = {"index": 400, "reader": 1500, "recover": 6000, "schema": 3000, "c": 8000, "ring": 6000}


class Hunt:
    """A fuzzer that looks for a planted bug; each returns what is wrong."""

    def __init__(self, seeds: Path, tmp_path: Path) -> None:
        self.seeds, self.tmp_path = seeds, tmp_path

    def _run(self, program: list[object], target: str, name: str, *, finds: bool) -> str:
        folder, runs = self.tmp_path / name, f"-runs={RUNS[target]}"
        done = fuzz(program, target, self.seeds, folder, "-seed=1", runs, kept=False)
        right = bool(found(folder)) if finds else not done.returncode
        return "" if right else f"{name}: {done.stderr[-2000:]}"

    def files(self, target: str, *options: str) -> str:
        program = [sys.executable, HERE / "fuzz.py", target, "--bug", target, *options]
        return self._run(program, target, " ".join([target, *options]), finds=not options)

    def ring(self, bug: str, *flags: str) -> str:
        include = seeded(self.tmp_path, *RING_BUGS[bug])
        name = " ".join(["ring", bug, *flags])
        program = ring_fuzzer(self.tmp_path / "built" / name, *flags, include=include)
        return self._run([program], "ring", name, finds=not flags)


@x86
@pytest.mark.once
def test_what_lies_behind_a_checksum_is_found(seeds: Path, tmp_path: Path) -> None:
    hunt = Hunt(seeds, tmp_path)
    jobs = [partial(hunt.files, "index"), partial(hunt.ring, "sizes")]
    plain = [partial(hunt.files, "index", "--plain"), partial(hunt.ring, "sizes", "-DFR_PLAIN")]
    wrong = together([*jobs, *plain])
    assert not wrong, "\n\n".join(wrong)


@x86
@pytest.mark.stress
def test_planted_bugs_are_found(seeds: Path, tmp_path: Path) -> None:
    hunt = Hunt(seeds, tmp_path)
    wrong = together(
        [*(partial(hunt.files, target) for target in BUGS), *(partial(hunt.ring, bug) for bug in RING_BUGS)]
    )
    assert not wrong, "\n\n".join(wrong)
