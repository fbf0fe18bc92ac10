"""Slurm's own programs: an array is submitted, its tasks are asked for, and what was submitted is remembered.

sbatch, squeue and scontrol are all that is used; no accounting data base and no package is needed.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.regular_files import read_regular_text
from clrepro.io.strict_json import parse_json_object

PATIENCE_S = 60.0  # for one answer of the controller
DEFAULT_ARRAY = 1001  # MaxArraySize where the site does not say
MAX_BYTES = 2**26
_NUMBER = re.compile(r"\d{1,12}")


class Silent(Exception):
    """The controller does not answer just now; the text says why in one line."""


@dataclass(frozen=True)
class Submitted:
    """What was submitted: the numbers of the array jobs, and for each run by name the time (ns) of the record
    that was there before, 0 if there was none: a failed record of that time is none of this array's.
    """

    arrays: list[str]
    before: Mapping[str, int]


def state_file(out: Path, spec: Path) -> Path:
    """Where it is kept what was submitted for the sweep file `spec`; script and logs lie beside it."""
    return out / ".slurm" / spec.stem / "submitted.json"


def remember(place: Path, submitted: Submitted) -> None:
    """Write `submitted` to `place`.  Raises: DataError."""
    text = json.dumps({"arrays": submitted.arrays, "before": dict(submitted.before)})
    write_atomically(make_folder(place.parent) / place.name, text.encode())


def remembered(place: Path) -> Submitted:
    """What `remember` wrote to `place`.  Raises: DataError if it is not there or damaged."""
    body = parse_json_object(read_regular_text(place, MAX_BYTES), str(place))
    arrays, before = body.get("arrays"), body.get("before")
    if not (
        isinstance(arrays, list)
        and all(isinstance(n, str) and _NUMBER.fullmatch(n) for n in arrays)
        and isinstance(before, dict)
        and all(type(written) is int for written in before.values())
    ):
        raise DataError(f"{place}: does not say what was submitted; remove it and submit again")
    return Submitted(arrays, before)


def submit(script: Path, first: int, n_tasks: int) -> str:
    """Submit `n_tasks` tasks of the array `script`, from task `first`.  Returns: the array's number.

    Raises: UsageError with sbatch's own words if it refuses, or if this machine has no sbatch.
    """
    command = ["sbatch", "--parsable", f"--array=0-{n_tasks - 1}", str(script), str(first)]
    try:
        said = _ask(command)
    except Silent as problem:
        raise UsageError(str(problem)) from None
    number = said.strip().partition(";")[0]  # "number;cluster" where there are several
    if not _NUMBER.fullmatch(number):
        raise UsageError(f"sbatch answered {said[:100]!r}, no job number")
    return number


def largest_array() -> int:
    """How many tasks the site takes in one array; Slurm's default if it does not say."""
    try:
        found = re.search(r"(?m)^MaxArraySize\s*=\s*(\d+)", _ask(["scontrol", "show", "config"]))
    except Silent:
        return DEFAULT_ARRAY
    return max(1, int(found[1])) if found else DEFAULT_ARRAY


def alive(arrays: Sequence[str]) -> dict[str, int]:
    """State -> tasks of `arrays` that wait or run, e.g. {"RUNNING": 2}; empty once all have ended.

    Raises: Silent.
    """
    counts: dict[str, int] = {}
    for line in _ask(["squeue", "--me", "--noheader", "--array", "--format=%F %T"]).splitlines():
        number, _, state = line.strip().partition(" ")
        if number in arrays:
            counts[state.strip()] = counts.get(state.strip(), 0) + 1
    return counts


def _ask(command: list[str]) -> str:
    """What `command` prints.  Raises: Silent with its last words if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    except FileNotFoundError:
        raise Silent(f"no {command[0]} on this machine: is it a Slurm cluster's login node?") from None
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Silent(f"{command[0]} does not answer ({' '.join(str(problem).split())[:200]})") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise Silent(f"{command[0]}: {words[-1].removeprefix(f'{command[0]}: ')[:300]}")
    return done.stdout
