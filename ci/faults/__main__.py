"""Run fault campaigns and print what was tried, survived, lost and executed: `python ci/faults --quick`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CI = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CI))

from faults.commands import SOURCES, stop_all  # noqa: E402
from faults.results import Tally  # noqa: E402

sys.path[1:1] = SOURCES  # this checkout, whatever is installed

Campaign = Callable[[Tally, argparse.Namespace], None]


def _hostile(tally: Tally, args: argparse.Namespace) -> None:
    from faults.readers import hostile_files

    hostile_files(tally, **_readers(args))


def _corrupt(tally: Tally, args: argparse.Namespace) -> None:
    from faults.readers import corrupt_files

    corrupt_files(tally, **_readers(args))


def _output(tally: Tally, args: argparse.Namespace) -> None:
    from faults.disk_full import outputs

    outputs(tally)


def _disk(tally: Tally, args: argparse.Namespace) -> None:
    from faults.disk_full import full

    full(tally, n=_rounds(args), **_works(args))


def _kills(tally: Tally, args: argparse.Namespace) -> None:
    from faults.kill_tests import kills

    kills(tally, n=min(args.kills, 4) if args.quick else args.kills, **_works(args))


def _signals(tally: Tally, args: argparse.Namespace) -> None:
    from faults.kill_tests import polite

    polite(tally, n=3 * _rounds(args), **_works(args))


def _writers(tally: Tally, args: argparse.Namespace) -> None:
    from faults.writers import two_writers

    two_writers(tally, n=_rounds(args), **_works(args))


def _clock(tally: Tally, args: argparse.Namespace) -> None:
    from faults.writers import clocks

    clocks(tally, n=_rounds(args), **_works(args))


def _workers(tally: Tally, args: argparse.Namespace) -> None:
    from faults.broken_off import environment_breaks
    from faults.workers import environment_workers

    environment_workers(tally, n=6 if args.quick else 60, seed=args.seed)
    environment_breaks(tally, n=2 if args.quick else 12, seed=args.seed)


def _diverged(tally: Tally, args: argparse.Namespace) -> None:
    from faults.broken_off import diverging

    diverging(tally, **{name: value for name, value in _works(args).items() if name != "seed"})


def _foreign(tally: Tally, args: argparse.Namespace) -> None:
    from faults.foreign import foreign_files

    foreign_files(tally)


def _odd(tally: Tally, args: argparse.Namespace) -> None:
    from faults.foreign import odd_records

    odd_records(tally)


def _outage(tally: Tally, args: argparse.Namespace) -> None:
    from faults.store import outages

    outages(tally, n=5 if args.quick else 10 * _rounds(args), seed=args.seed)


def _permissions(tally: Tally, args: argparse.Namespace) -> None:
    from faults.permissions import locked_places

    pythons = dict(pair.split("=", 1) for pair in args.python)
    locked_places(tally, pythons=pythons, papers=args.papers or ([] if args.quick else None))


def _bounded(tally: Tally, args: argparse.Namespace) -> None:
    from faults.bounded import bounded_work

    bounded_work(tally)


def _fuzz(tally: Tally, args: argparse.Namespace) -> None:
    from faults.fuzzing import fuzz

    python = dict(pair.split("=", 1) for pair in args.python).get("fuzz", "")
    seconds = 1 if args.quick else args.seconds
    fuzz(
        tally,
        seconds=seconds,
        seed=args.seed,
        papers=args.papers,
        glob=args.reader,
        python=python,
        quick=args.quick,
    )


def _readers(args: argparse.Namespace) -> dict[str, Any]:
    """What the campaigns on files are told."""
    return {
        "seed": args.seed, "quick": args.quick, "papers": args.papers, "glob": args.reader, "case": args.case,
    }  # fmt: skip


def _rounds(args: argparse.Namespace) -> int:
    return 1 if args.quick else int(args.rounds)


def _works(args: argparse.Namespace) -> dict[str, Any]:
    """What the campaigns that disturb running commands are told."""
    papers = args.papers or (["tag"] if args.quick else None)
    pythons = dict(pair.split("=", 1) for pair in args.python)
    return {"seed": args.seed, "pythons": pythons, "papers": papers, "quick": args.quick}


CAMPAIGNS: dict[str, Campaign] = {
    "hostile": _hostile, "corrupt": _corrupt, "output": _output, "disk": _disk, "kills": _kills,
    "signals": _signals, "writers": _writers, "clock": _clock, "workers": _workers,
    "diverged": _diverged, "foreign": _foreign, "odd": _odd, "outage": _outage, "permissions": _permissions,
    "bounded": _bounded, "fuzz": _fuzz,
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Returns: 0; 1 if something was lost or executed; 2 for a wrong command line; 130 if stopped."""
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    tally, code = Tally(), 0
    try:
        for name in args.only or CAMPAIGNS:
            CAMPAIGNS[name](tally, args)
    except KeyboardInterrupt:
        code = 130
    finally:
        stop_all()
    print(tally.table())
    tally.write(args.out)
    print(f"written: {args.out}" + (" (stopped before the end)" if code else ""))
    return code or int(tally.bad)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a bounded run of about five minutes")
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, metavar="GROUP", help=", ".join(CAMPAIGNS))
    parser.add_argument("--seed", type=int, default=0, help="of the random plans (default 0)")
    parser.add_argument(
        "--kills", type=int, default=200, metavar="N", help="kills over all papers (default 200)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=4,
        metavar="N",
        help="of disk, signals, writers, clock per work (default 4)",
    )
    parser.add_argument(
        "--reader", default="*", metavar="GLOB", help="files: these readers only, e.g. 'ta_agem*'"
    )
    parser.add_argument(
        "--case", type=int, metavar="N", help="files: the case of this number only, as printed"
    )
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="fuzz: per reader (default 10)")
    parser.add_argument("--papers", nargs="+", metavar="PAPER", help="these papers only (default: all)")
    parser.add_argument(
        "--out", type=Path, default=CI.parent / "results" / "faults.json", help="where to store the table"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PAPER=PATH",
        help="the interpreter of a paper, or of fuzz",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
