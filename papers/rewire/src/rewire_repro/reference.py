"""What transfer is measured against: returns of tasks learnt from scratch, from stored SAC-N records.

    python -m rewire_repro.reference RESULTS [--profile quick]

reads the records of `sac_n` under RESULTS and writes references.json in the paper's folder: per profile and
scenario the mean over seeds of the diagonal of R.  Then every record of the profile under RESULTS gets its
T, P_rel, F_rel, T_rel and ft_auc from its own R and these references, so runs need not wait for sac_n's.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import write_atomically
from clrepro.io.paths import find
from clrepro.io.strict_json import load_json_object
from clrepro.records import RunRecord, load_many, read_record
from rewire_repro.program import Parser, Program
from rewire_repro.results import REFERENCES, against_scratch

METHOD = "sac_n"


def entries(records: Sequence[RunRecord], profile: str) -> dict[str, Any]:
    """Returns per scenario {tasks, returns, seeds}: S_j, the mean over seeds of R[j, j] of sac_n's done
    runs; where tasks have a goal also `auc`, the mean of the successes while training.
    """
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        if (record.paper, record.profile, record.method, record.status) == (
            "rewire",
            profile,
            METHOD,
            "done",
        ):
            groups.setdefault(record.setting, []).append(record)
    out = {}
    for setting, runs in sorted(groups.items()):
        diagonals = [np.diagonal(np.asarray(run.series["R"], np.float64)) for run in runs]
        out[f"{profile}/{setting}"] = {
            "tasks": list(runs[0].data["tasks"]),
            "returns": [round(float(one), 6) for one in np.mean(diagonals, axis=0)],
            "seeds": sorted(run.seed for run in runs),
        }
        successes = [[np.mean(one) for one in run.series.get("curve_success", [])] for run in runs]
        if all(len(one) == len(runs[0].data["tasks"]) for one in successes):
            out[f"{profile}/{setting}"]["auc"] = [round(float(one), 6) for one in np.mean(successes, axis=0)]
    return out


def judged(record: RunRecord) -> RunRecord:
    """Returns the record with the numbers that need references.json, from its own series."""
    scenario = record.settings.get("scenario", {})
    repeats = isinstance(scenario, dict) and scenario.get("repeat_scenario", 1) > 1
    new = against_scratch(
        record.profile,
        record.setting,
        record.data["tasks"],
        record.series["R"],
        repeats,
        record.series.get("curve_success", []),
    )
    return replace(record, metrics={**record.metrics, **new})


def judge_all(folder: Path, profile: str) -> int:
    """Write anew the records of finished runs that change by `judged`; returns how many."""
    n = 0
    for path in find(folder, "seed*.json", folders_too=True)[0]:
        if "records" not in path.parts:  # a program's own file
            continue
        record = read_record(path)
        if (record.paper, record.profile, record.status) != ("rewire", profile, "done"):
            continue
        new = judged(record)
        if new.to_json() != record.to_json():
            write_atomically(path, new.to_json().encode())
            n += 1
    return n


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the flags of a command line.  Raises: UsageError for a folder that is not there."""
    parser = Parser(prog="python -m rewire_repro.reference", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="output folder of cl-repro reproduce")
    parser.add_argument("--profile", default="quick", help="whose records (default: quick)")
    args = parser.parse_args(argv)
    if not args.results.is_dir():
        raise UsageError(f"{args.results}: no such folder")
    return args


def run(args: argparse.Namespace) -> None:
    """Write references.json, and the numbers that need it into the records."""
    records, problems = load_many(args.results)
    if problems:
        raise DataError(str(problems[0]))
    found = entries(records, args.profile)
    if not found:
        raise DataError(f"{args.results}: no finished record of {METHOD} under profile {args.profile}")
    stored = load_json_object(REFERENCES) if REFERENCES.is_file() else {}
    text = json.dumps({**stored, **found}, indent=1, sort_keys=True) + "\n"
    write_atomically(REFERENCES, text.encode())
    print(f"{REFERENCES}: {', '.join(found)}")
    print(f"{args.results}: {judge_all(args.results, args.profile)} records with new numbers")


main = Program("reference", parse=parse, run=run).main

if __name__ == "__main__":
    sys.exit(main())
