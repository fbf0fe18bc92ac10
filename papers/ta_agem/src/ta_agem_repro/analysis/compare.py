"""`compare_experiments.py`: folders of runs against each other, by Welch's test and in one plot per task
type.
"""

import argparse
import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import stats

from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.metrics.stats import mean_sd
from clrepro.settings import add_flags, given, option
from ta_agem_repro.analysis import curves
from ta_agem_repro.analysis.retro import report_problems
from ta_agem_repro.naming import STAMP
from ta_agem_repro.program import Parser, Program
from ta_agem_repro.reader import Run, newest
from ta_agem_repro.settings import TASK_TYPES

MOST = 100  # runs per folder
ALPHA = 0.01
CSV_COLUMNS = ("Task Type", "Directory", "Mean Accuracy", "Std Deviation", "Count", "Is Best")
# What may differ between folders without making them another experiment.
UNREMARKABLE = frozenset({
    "experiment_name", "task_type", "num_tasks", "num_pools", "memory_size_q", "output_dir", "verbose",
    "seed", "tracking_interval", "version",
})  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Welch's test of two folders: p — two-sided, nan if one of them has a single run."""

    first: str
    second: str
    p: float

    @property
    def significant(self) -> bool:
        """Whether p < 0.01."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Comparison:
    """One task type: values — {folder: A of its runs, earliest first}; best — see `best`."""

    task_type: str
    values: dict[str, list[float]]
    pairs: list[Pair]
    best: list[str]


@dataclass(frozen=True)
class Command:
    """A command line: the folders that are compared, and how."""

    directories: tuple[str, ...]
    output_dir: str | None = option(None, "write a plot per task type (HTML) and a CSV there")
    task_type: str | None = None
    png: bool = option(False, "write the plots as PNG too; needs kaleido")

    def __post_init__(self) -> None:
        if len(self.directories) < 2:
            raise UsageError(f"{', '.join(self.directories)}: one folder; name two or more different ones")
        if self.png and self.output_dir is None:
            raise UsageError("--png: needs --output_dir, the folder to write to")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the program."""
    out = Parser(
        prog="compare_experiments.py",
        description="Compare the average accuracy A of folders of runs; significant is p < 0.01.",
    )
    out.add_argument(
        "directories", nargs="+", metavar="DIR", help=f"two or more; the latest {MOST} runs of each"
    )
    out.add_argument("-t", "--task_type", choices=TASK_TYPES, default=None, help="compare this one only")
    add_flags(out, Command)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says, each folder once.  Raises: UsageError."""
    flags = vars(parser().parse_args(argv))
    return Command(**given(Command, flags) | {"directories": tuple(dict.fromkeys(flags["directories"]))})


def run(command: Command) -> None:
    """Print the comparison of the folders, and write plots and a table if a folder for them is named."""
    runs = {folder: _load(folder, command.task_type) for folder in command.directories}
    types = [t for t in (*TASK_TYPES, "unknown") if any(r.task_type == t for rs in runs.values() for r in rs)]
    for line in differences(runs):
        print(line)
    found = [compare(task_type, runs) for task_type in types]
    print("\n".join(line for one in found for line in lines(one)))
    if command.output_dir is None:
        print("\nno --output_dir: no plots and no CSV written")
        return
    target, stamp = make_folder(Path(command.output_dir)), datetime.now().strftime(STAMP)
    for task_type in types:
        curves.write(task_type, runs, target / f"accuracy_comparison_{task_type}_{stamp}", command.png)
    table = target / f"comparison_results_{stamp}.csv"
    write_atomically(table, csv_text(found).encode("utf-8"))
    print(f"written: {table}")


def _load(folder: str, task_type: str | None) -> list[Run]:
    """The latest runs of a folder.  Raises: DataError if it has none of the task type asked for."""
    runs, problems = newest(Path(folder), MOST)
    report_problems(problems)
    chosen = [run for run in runs if task_type in (None, run.task_type)]
    if not chosen:
        kind = f" of task type {task_type}" if task_type else ""
        raise DataError(f"{folder}: no results of runs{kind} (*.pkl)")
    print(f"{folder}: {len(chosen)} run(s)")
    return chosen


def differences(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Returns a line per parameter that some folders have otherwise than others; what a run is called, where
    it lies, its seed and what follows from the task type do not count.
    """
    keys = sorted({key for rs in runs.values() for run in rs for key in run.params} - UNREMARKABLE)
    out = []
    for key in keys:
        held = {folder: sorted({repr(r.params.get(key)) for r in rs}) for folder, rs in runs.items()}
        if len({tuple(values) for values in held.values()}) > 1:
            out.append(f"differs: {key}: " + "; ".join(f"{f} {', '.join(v)}" for f, v in held.items()))
    return out


def compare(task_type: str, runs: Mapping[str, Sequence[Run]]) -> Comparison:
    """Returns the comparison of the folders that have runs of a task type."""
    values = {
        folder: [run.metrics()["A"] for run in found if run.task_type == task_type]
        for folder, found in runs.items()
    }
    values = {folder: numbers for folder, numbers in values.items() if numbers}
    pairs = [Pair(a, b, welch(values[a], values[b])) for a, b in combinations(values, 2)]
    return Comparison(task_type, values, pairs, best(values, pairs))


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the two-sided p of Welch's t-test; nan with a single value on one side.

    Without any spread on both sides t is infinite or 0/0: p is then 0, or 1 for equal means.
    """
    if min(len(a), len(b)) < 2:
        return math.nan
    if len(set(a)) == len(set(b)) == 1:
        return float(a[0] == b[0])
    return float(stats.ttest_ind(a, b, equal_var=False).pvalue)


def best(values: Mapping[str, Sequence[float]], pairs: Sequence[Pair]) -> list[str]:
    """Returns the folder with the highest mean, and those tested against it without a significant difference.

    Differs from the original: there a folder that beats only the worst one counts as best too.
    """
    if not values:
        return []
    leader = max(values, key=lambda folder: float(np.mean(values[folder])))
    tested = {frozenset((pair.first, pair.second)): pair.p for pair in pairs}
    return [f for f in values if f == leader or tested[frozenset((f, leader))] >= ALPHA]


def lines(found: Comparison) -> list[str]:
    """Returns the text of a comparison: mean ± sample sd and n per folder, every test, the best."""
    out = ["", f"{found.task_type}: average accuracy A"]
    for folder, values in found.values.items():
        mean, sd = mean_sd(values)
        spread = "" if math.isnan(sd) else f" ± {sd:.4f}"
        out.append(f"  {folder}: {mean:.4f}{spread} (n = {len(values)})")
    for pair in found.pairs:
        means = [float(np.mean(found.values[folder])) for folder in (pair.first, pair.second)]
        if math.isnan(pair.p):
            out.append(f"  {pair.first} and {pair.second}: not tested, one of them has a single run")
        elif pair.significant:
            high, low = (pair.first, pair.second) if means[0] > means[1] else (pair.second, pair.first)
            out.append(f"  {high} > {low}: significant, p = {pair.p:.3g}")
        else:
            out.append(f"  {pair.first} and {pair.second}: not significant, p = {pair.p:.3g}")
    if len(found.values) > 1:
        out.append(f"  best: {', '.join(found.best)}")
    return out


def csv_text(found: Sequence[Comparison]) -> str:
    """Returns one line per task type and folder; the deviation of a single run is left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in found:
        for folder, values in one.values.items():
            mean, sd = mean_sd(values)
            spread = "" if math.isnan(sd) else f"{sd:.6f}"
            writer.writerow([one.task_type, folder, f"{mean:.6f}", spread, len(values), folder in one.best])
    return out.getvalue()


MAIN = Program("visualization_analysis/compare_experiments.py", parse=parse, run=run)
main = MAIN.main
