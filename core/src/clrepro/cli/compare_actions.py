"""`cl-repro compare ls`, `new`, `validate`, `check`: what there is, a start, the rules, old cells."""

import inspect
import math
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.arena import methods, runs, validate
from clrepro.arena.contract import told
from clrepro.arena.environments import python_for
from clrepro.arena.program import Run, run_program
from clrepro.arena.streams import DATA, KINDS
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import write_atomically
from clrepro.records import PACKED, RunRecord, read_packed
from clrepro.sweep import find_home
from clrepro.sweep.host import show
from clrepro.sweep.jobs import ARENA


def ls(**_: Any) -> int:
    """Print the methods and the streams.  Returns: 0."""
    show("methods")
    for name, entry in sorted(methods.known().items()):
        try:
            python_for(entry)
            here = ""
        except UsageError:
            here = f" (not here: nox -s env-{entry.paper})"
        marks = f" [{told(entry.kind)}]" if told(entry.kind) else ""
        show(f"  {name:14s} {entry.source:8s} {entry.text}{marks}{here}")
    show("streams, each of " + ", ".join(f"{name}-" for name in DATA))
    for name, text in KINDS.items():
        show(f"  {name:14s} {text}")
    return 0


def new(file: Path, **_: Any) -> int:
    """Write a working method to start from.  Returns: 0.  Raises: UsageError if the file is there already."""
    if file.suffix != ".py":
        raise UsageError(f"{file}: a Python file ends in .py")
    if file.exists():
        raise UsageError(f"{file} is there already; name another one")
    write_atomically(file, files("clrepro.arena").joinpath("starter.txt").read_bytes())
    show(f"written: {file}; try it with: cl-repro compare --method {file}:Mine")
    return 0


def validate_method(name: str, **_: Any) -> int:
    """Try every rule on a method and print a line for each.  Returns: 0, or 1 if one is broken."""
    entry = methods.find(name)
    began, broken = time.perf_counter(), dict(validate.broken(entry.kind))
    for rule in validate.RULES:
        show(f"{'BROKEN' if rule.name in broken else 'kept':7s} {rule.name}"
             + (f": {broken[rule.name]}" if rule.name in broken else ""))  # fmt: skip
    show(f"{entry.name}: {len(validate.RULES) - len(broken)} of {len(validate.RULES)} rules kept, "
         f"{time.perf_counter() - began:.1f} s; told of tasks: {told(entry.kind) or 'nothing'}")  # fmt: skip
    return 1 if broken else 0


def tune(**words: Any) -> int:
    """Choose options; see `compare_tune.run`."""
    from clrepro.cli import compare_tune

    given = {name: words[name] for name in inspect.signature(compare_tune.run).parameters if name in words}
    return compare_tune.run(**given)


def check(cells: int, pick: int | None, profile: str | None, **_: Any) -> int:
    """Run random cells of the committed tables again.  Returns: 0 if all are equal, else 1.

    Raises: DataError if there are no committed records.
    """
    records = [r for r in committed() if r.status == "done" and profile in (None, r.profile)]
    here = [record for record in records if _can_run(record)]
    if not here:
        raise DataError("no committed record of a method that runs here; see arena/ in the checkout")
    rng, good = np.random.default_rng(pick), True
    for number in rng.choice(len(here), min(cells, len(here)), replace=False):
        good &= _same_again(here[int(number)])
    return 0 if good else 1


def committed() -> list[RunRecord]:
    """Returns the records of the committed tables: the checkout's, or those that came with the package."""
    try:
        found = sorted((find_home() / ARENA).glob(f"*/{PACKED}"))
    except UsageError:
        found = []
    records = [record for path in found if path.parent.name != "trials" for record in read_packed(path)[0]]
    return records or runs.shipped()


def _can_run(record: RunRecord) -> bool:
    try:
        python_for(methods.find(Run.from_words(record.command).method))
    except (DataError, UsageError):
        return False
    return True


def _same_again(record: RunRecord) -> bool:
    """Run a record's command anew and say whether its numbers are the same."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_program(record.command, work_dir=Path(folder))
    new = {name: math.nan if value is None else float(value) for name, value in outcome.metrics.items()}
    worse = [
        f"{name} {old!r}, now {new.get(name)!r}"
        for name, old in record.metrics.items()
        if not (new.get(name) == old or (math.isnan(old) and math.isnan(new.get(name, 0.0))))
    ]
    show(f"{record.profile}/{record.key}: {'equal' if not worse else 'DIFFERS: ' + ', '.join(worse)}")
    return not worse


ACTIONS = {"ls": ls, "new": new, "validate": validate_method, "tune": tune, "check": check}
