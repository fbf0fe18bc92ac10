"""Run the quick profiles afresh and compare them with ci/baselines: exit code 1 if a result has changed.

    python ci/regression.py [PAPER ...] [--out DIR] [--update]

Without --out the runs go to a temporary folder, so nothing of an earlier state of the code is taken as fresh.
"""

import argparse
import tempfile
from pathlib import Path

from clrepro.cli import main as cl_repro


def main() -> int:
    """Reproduce, then check, each paper named (default: all).  Returns: the worst exit code."""
    parser = argparse.ArgumentParser(description="quick records against their baselines")
    parser.add_argument("papers", nargs="*", default=["all"], metavar="PAPER")
    parser.add_argument("--out", type=Path, help="keep the records here (default: a temporary folder)")
    parser.add_argument("--update", action="store_true", help="make the fresh records the baseline")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = str(args.out or temporary)
        return max(check(paper, out, args.update) for paper in args.papers)


def check(paper: str, out: str, update: bool) -> int:
    """The exit code of `reproduce` if that fails, else of `check`."""
    made = cl_repro(["reproduce", paper, "--profile", "quick", "--out", out])
    return made or cl_repro(["check", paper, "--out", out, *(["--update"] if update else [])])


if __name__ == "__main__":
    raise SystemExit(main())
