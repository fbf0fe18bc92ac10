"""What a single-task agent of the same size and budget reaches, which S_ref and BWT_ref are measured by.

`python -m hvcl_repro.rl.references RUN.json ...` makes references.json in the paper's folder from the JSON
files of `SAC_main.py --method reinit`: new networks, memory and temperature for every task are what a run on
that task alone would have.  Their seeds must not be those of a table's rows.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.checkout import paper_folder
from clrepro.io.atomic import write_atomically
from clrepro.io.strict_json import load_json_object
from hvcl_repro.rl.environments import SETS
from hvcl_repro.rl.points import POINTS, Point

FILE = paper_folder(__file__) / "references.json"
LAST = 5  # evaluations that make a reference, spec 6.3
BUDGET = 0.05  # by how much a run's steps per task may differ from the references'


def references(env_set: str, train_steps: int, file: Path = FILE) -> list[float] | None:
    """Returns one return per environment of the set: best possible for the toys, else from the file; None
    where it has none of this budget.
    """
    if env_set == "toy":
        return [Point(**POINTS[env_id]).best_return() for env_id in SETS["toy"]]
    if not file.is_file():
        return None
    found = load_json_object(file).get(env_set)
    if found is None or abs(found["train_steps"] - train_steps) > BUDGET * train_steps:
        return None
    return [float(found["returns"][env_id]) for env_id in SETS[env_set]]


def reference_of(runs: Sequence[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Returns (set of environments, what the file keeps of it).  Raises: ValueError for runs that differ."""
    kinds = {(r["settings"]["env_set"], r["settings"]["train_steps"], r["settings"]["method"]) for r in runs}
    if len(kinds) != 1 or next(iter(kinds))[2] != "reinit":
        raise ValueError(f"runs of {kinds}: one set, one budget, and --method reinit are needed")
    env_set, train_steps, _ = next(iter(kinds))
    own = [[np.mean(segment[i][-LAST:]) for i, segment in enumerate(r["curves"])] for r in runs]
    means = np.mean(own, axis=0)
    return env_set, {
        "train_steps": train_steps,
        "seeds": [r["settings"]["seed"] for r in runs],
        "returns": {
            env_id: round(float(value), 3) for env_id, value in zip(SETS[env_set], means, strict=True)
        },
    }


def main(paths: Sequence[str]) -> int:
    """Add what the runs say to references.json; returns the exit code."""
    env_set, found = reference_of([load_json_object(Path(path)) for path in paths])
    kept = load_json_object(FILE) if FILE.is_file() else {}
    text = json.dumps(kept | {env_set: found}, indent=1) + "\n"
    write_atomically(FILE, text.encode())
    print(f"{env_set}: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
