"""``python -m benchmarks [NAME...] [--json FILE] [--list] [--quick]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.harness import BenchmarkError, find, names, run


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks named, or all; 1 where nothing could be measured or an answer was wrong.

    A claim that does not hold is a result, and no error.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all without")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="the result as an object; of several, a list"
    )
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--quick", action="store_true", help="prove the answers, not the figures")
    options = parser.parse_args(arguments)
    try:
        if options.list:
            for name in names():
                print(f"{name:12} {find(name)[1]}")
            return 0
        results = run(options.names or names(), quick=options.quick)
        if options.json:
            options.json.write_text(json.dumps(results if len(results) > 1 else results[0], indent=1) + "\n")
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
