"""`python -m clrepro.bench [PAPER ...] [--only TEXT] [--out DIR]`: run the benchmarks, print them, keep them.

`<out>/bench.json` keeps the rows of all papers; those of the papers that run now replace what it has of them,
as papers live in environments of their own.  `cl-repro report` makes a page of it.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from clrepro.bench import benchmark, scaling
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.strict_json import load_json_object
from clrepro.origin import processor
from clrepro.sweep.host import versions

CORE = "core"
SCHEMA = 1


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks of the papers named (default: the core); returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m clrepro.bench", description="Measure the promised speed ratios, and how costs grow."
    )
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="papers, or core (default: core)")
    parser.add_argument("--only", default="", help="run only what has this text in its name")
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="folder for bench.json (default: results)"
    )
    args = parser.parse_args(argv)
    make_folder(args.out)
    benchmark.use_cores(1)  # before any library starts its threads
    for paper in args.papers or [CORE]:
        rows, growths = [], []
        for row, growth in measured(module_of(paper), paper, args.only):
            rows += row
            growths += growth
        keep(args.out / "bench.json", paper, rows, growths, whole=not args.only)
    print(f"written: {args.out / 'bench.json'}")
    return 0


def measured(
    module: ModuleType, paper: str, only: str
) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Run what `module` offers; yields (rows, growths) as bench.json keeps them, one thing at a time."""
    for each in module.benchmarks():
        if only in each.name:
            timing = benchmark.run(each)
            print("\n".join(benchmark.lines(timing)), flush=True)
            yield timing.rows(paper), []
    for each in getattr(module, "scalings", list)():
        if only in each.name:
            growth = scaling.measure(each)
            print("\n".join(scaling.lines(growth)), flush=True)
            yield [], [growth.to_json(paper)]


def module_of(paper: str) -> ModuleType:
    """The module with the benchmarks of `paper`.  Raises: UsageError if it cannot be imported here."""
    name = "clrepro.bench.rows" if paper == CORE else f"{paper}_repro.bench"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        raise UsageError(f"paper {paper!r} offers no bench in this environment ({problem})") from None


def keep(
    path: Path, paper: str, rows: list[dict[str, Any]], growths: list[dict[str, Any]], *, whole: bool
) -> None:
    """Replace the rows of `paper` in the file `path`; not `whole`: only those of the same names.

    A file that cannot be read is made anew.
    """
    try:
        body = load_json_object(path)
    except DataError:
        body = {}
    names = {row["name"] for row in [*rows, *growths]}

    def others(key: str) -> list[dict[str, Any]]:
        old = body.get(key, [])
        return [row for row in old if row["paper"] != paper or not (whole or row["name"] in names)]

    new = {
        "schema": SCHEMA,
        "machine": {**versions(), "cores": str(os.cpu_count()), "processor": processor()},
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rows": [*others("rows"), *rows],
        "scaling": [*others("scaling"), *growths],
    }
    write_atomically(path, (json.dumps(new, indent=1) + "\n").encode())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (UsageError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
