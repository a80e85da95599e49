"""The fuzzer: ``python fuzz.py TARGET [--plain] [--bug NAME] [OPTIONS OF LIBFUZZER] [FOLDER ...]``.

Targets are those of `fuzz_targets`. ``--plain`` leaves the checksums as the changes left them; ``--bug``
plants one of `BUGS`: both show what the fuzzer is worth. What a long run has found new goes into the kept
corpus, as little as covers the same code, with ``fuzz.py TARGET -merge=1 -set_cover_merge=1 -use_counters=0
corpus/TARGET FOLDER``.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(
    include=["fastrec.recording", "fastrec.schema", "fastrec.records", "fastrec.times"]
):
    importlib.import_module("fastrec.recording.reader")

from stress import forging, fuzz_targets
from stress.planted import BUGS


def mutator(name: str, *, fixing: bool):
    def mutate(data: bytes, most: int, number: int) -> bytes:
        focus = fuzz_targets.FOCUS.get(name)
        if focus is not None:
            return forging.forged(bytes(data), number, focus, atheris.Mutate, fixing=fixing)
        if name == "schema":
            return forging.bent_json(bytes(data), random.Random(number), atheris.Mutate)[:most]
        return atheris.Mutate(data, most)

    return mutate


def main() -> None:
    name, *options = sys.argv[1:]
    fixing = "--plain" not in options
    if "--bug" in options:
        BUGS[options[options.index("--bug") + 1]]()
        del options[options.index("--bug") : options.index("--bug") + 2]
    options = [one for one in options if one != "--plain"]
    warnings.simplefilter("error")
    more = {}
    if name in fuzz_targets.FOCUS:
        more["custom_crossover"] = lambda one, other, most, number: forging.crossed(
            bytes(one), bytes(other), number, fixing=fixing
        )
    check = fuzz_targets.TARGETS[name]
    # What libFuzzer calls itself by, where it merges folders.
    itself = " ".join([sys.executable, __file__, name])
    fuzz_targets.places()
    child = os.fork()
    if child:
        # libFuzzer ends its process in its own way, and would leave the folders behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, ended = os.waitpid(child, 0)
        fuzz_targets.clean_up()
        sys.exit(abs(os.waitstatus_to_exitcode(ended)))
    atheris.Setup([itself, *options], check, custom_mutator=mutator(name, fixing=fixing), **more)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
