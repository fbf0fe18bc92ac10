"""`retro_stats.py`: accuracy and forgetting of the latest runs of a folder, by task type."""

import argparse
import csv
import io
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clrepro.errors import DataError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.metrics.stats import mean_sd, t_interval
from clrepro.settings import add_flags, check, given, option
from ta_agem_repro.program import Parser, Program
from ta_agem_repro.reader import Run, newest

CONFIDENCE = 0.99
METRICS = {"A": "accuracy", "F1": "forgetting", "T1": "first_task_accuracy"}
MIXED = ("dataset_name", "task_introduction", "method", "removal_function", "sampling_rate")
CSV_COLUMNS = (
    *("filename", "task_introduction", "task_type", "removal_function", "run_number"),
    *METRICS.values(),
)


@dataclass(frozen=True)
class Group:
    """Runs of one task type, earliest first; values — {"A" | "F1" | "T1": fraction per run}, nan where a
    file does not allow it.
    """

    task_type: str
    runs: list[Run]
    values: dict[str, list[float]]

    def known(self, metric: str) -> list[float]:
        """Returns the values of a metric that are numbers."""
        return [value for value in self.values[metric] if not math.isnan(value)]


@dataclass(frozen=True)
class Command:
    """A command line."""

    num_runs: int = option(15, "take the latest N runs", within="[1, inf)", metavar="N")
    input_dir: str = option("test_results", "folder of the runs")
    output_dir: str | None = option(None, "write a CSV with one line per run into this folder")
    no_verbose: bool = option(False, "print the table and the raw lines only")

    def __post_init__(self) -> None:
        check(self)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the program."""
    out = Parser(
        prog="retro_stats.py",
        description="Mean, sample standard deviation and 99 % Student interval of past runs, by task type.",
    )
    out.add_argument("-n", dest="num_runs", type=int, default=Command.num_runs, help="short for --num_runs")
    add_flags(out, Command)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says.  Raises: UsageError for a wrong flag or value."""
    return Command(**given(Command, vars(parser().parse_args(argv))))


def run(command: Command) -> None:
    """Print the statistics of a folder's latest runs; a file that is no readable run is named on stderr and
    left out.

    Raises: DataError if there is nothing to read.
    """
    folder = Path(command.input_dir)
    runs, problems = newest(folder, command.num_runs)
    report_problems(problems)
    if not runs:
        raise DataError(f"{folder}: no results of runs (*.pkl); main.py writes them to its --output_dir")
    groups = by_task_type(runs)
    if not command.no_verbose:
        print("\n".join([*header(folder, runs), *notes(groups), ""]))
    print("\n".join([*table(groups), "", *raw_lines(groups)]))
    if command.output_dir is not None:
        name = f"detailed_results-{folder.resolve().name}.csv"
        target = make_folder(Path(command.output_dir)) / name
        write_atomically(target, csv_text(groups).encode("utf-8"))
        print(f"\nwritten: {target}")


def report_problems(problems: Iterable[str]) -> None:
    """Print one line on stderr for each file that was left out."""
    for problem in problems:
        print(f"left out: {' '.join(problem.split())}", file=sys.stderr)


def by_task_type(runs: Sequence[Run]) -> list[Group]:
    """Returns the groups in alphabetical order."""
    groups = []
    for task_type in sorted({run.task_type for run in runs}):
        members = [run for run in runs if run.task_type == task_type]
        found = [run.metrics() for run in members]
        groups.append(Group(task_type, members, {m: [row[m] for row in found] for m in METRICS}))
    return groups


def header(folder: Path, runs: Sequence[Run]) -> list[str]:
    """Returns the lines that tell which runs were read."""
    times = [run.timestamp for run in runs if run.timestamp is not None]
    span = f", from {min(times):%Y-%m-%d %H:%M:%S} to {max(times):%Y-%m-%d %H:%M:%S}" if times else ""
    lines = [f"TA-A-GEM: {len(runs)} run(s) in {folder}{span}"]
    if undated := [run.path.name for run in runs if run.timestamp is None]:
        lines.append(f"without a time stamp, taken as the earliest: {', '.join(undated)}")
    lines.append("A: mean over all epochs of the accuracy on the tasks seen; F1: best accuracy on the first")
    lines.append("task while it was trained, less the later ones; T1: mean accuracy on the first task.")
    return lines


def notes(groups: Sequence[Group]) -> list[str]:
    """Returns a line for each group whose runs do not repeat one setting, as its mean then means little."""
    lines = []
    for group in groups:
        for key in MIXED:
            seen = list(dict.fromkeys(str(run.params.get(key, "?")) for run in group.runs))
            if len(seen) > 1:
                lines.append(f"note: {group.task_type} mixes runs of {key} {', '.join(seen)}")
    return lines


def table(groups: Sequence[Group]) -> list[str]:
    """Returns mean ± sample standard deviation and the 99 % interval, a line per task type and metric."""
    lines = [f"{'task type':<12} {'metric':<20} {'n':>3}  {'mean':>8} {'sd':>7}   99 % interval"]
    for group in groups:
        for metric, name in METRICS.items():
            values = group.known(metric)
            if not values:
                lines.append(f"{group.task_type:<12} {name:<20}   0       n/a")
                continue
            mean, sd = mean_sd(values)
            interval = t_interval(values, CONFIDENCE)
            spread = "    n/a   n/a (one run)"
            if len(values) > 1:
                spread = f"{sd:7.4f}   [{interval.low:.4f}, {interval.high:.4f}]"
            lines.append(f"{group.task_type:<12} {name:<20} {len(values):>3}  {mean:8.4f} {spread}")
    return lines


def raw_lines(groups: Sequence[Group]) -> list[str]:
    """Returns every value, comma-separated, earliest run first, to paste into a sheet."""
    return [
        f"{group.task_type} {name}: {','.join(_text(value) for value in group.values[metric])}"
        for group in groups
        for metric, name in METRICS.items()
    ]


def csv_text(groups: Sequence[Group]) -> str:
    """Returns one line per run; run_number counts within the task type, earliest first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for group in groups:
        for place, run in enumerate(group.runs):
            about = [run.params.get(key, "") for key in ("task_introduction", "removal_function")]
            numbers = [_text(group.values[metric][place]) for metric in METRICS]
            writer.writerow([run.path.name, about[0], group.task_type, about[1], place + 1, *numbers])
    return out.getvalue()


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


MAIN = Program("visualization_analysis/retro_stats.py", parse=parse, run=run)
main = MAIN.main
