"""The shell scripts' program: their lines for several seeds, one after the other, then one table.

    python -m tag_repro.scripts.run NAME [DATASET [EPOCHS]] [--dry-run] [--runs N] [--jobs N] [PROGRAM FLAGS]

Finished runs are kept: the same command goes on where it was stopped.
"""

import csv
import io
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clrepro.errors import DataError, UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.records import RunRecord
from clrepro.settings import add_flags, check, dashed, given, option
from clrepro.sweep import Folder, Job, Processes, Summary, finished_record, run_sweep, split, sweep_lock
from clrepro.sweep.host import show
from tag_repro.program import Parser, Program
from tag_repro.scripts import commands as lines
from tag_repro.scripts.commands import TASKS, Line

PAPER, GRID = "tag", "replicate_appendix_gs"
STABLE_SEEDS, TAG_SEEDS = (1234, 4567, 7891, 1, 2), (1, 2, 3, 4, 5)
METRICS = ("A", "F", "F_signed", "LA", "BWT", "lambda1", "lambda2", "lambda3", "displacement",
           "validation_A", "best_lr", "best_b", "best_lambd", "best_dropout", "best_gamma")  # fmt: skip
SETTINGS = ("dataset", "images", "tasks", "epochs_per_task", "batch_size", "lr", "gamma", "dropout",
            "hiddens", "tag_opt", "b", "mem_size", "lambd")  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A script's own words, and the flags that every line gets (`rest`)."""

    name: str
    data: str = ""
    epochs: int = 1
    dry_run: bool = option(False, "print the command lines only")
    runs: int = option(3, "seeds per line (the papers: 5)", within="[1, inf)")
    jobs: int = option(1, "runs at a time", within="[1, inf)")
    out: Path = option(Path("outputs"), "folder of records and tables", parse=Path)
    rest: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self, dashed)

    @property
    def stable(self) -> bool:
        """Whether it is a script of Stable SGD."""
        return self.name in STABLE


Maker = Callable[[Command], Sequence[Line]]
SCRIPTS: dict[str, Maker] = {
    "replicate_experiment_1": lambda asked: list(lines.experiment_1()),
    "replicate_experiment_2": lambda asked: list(lines.experiment_2()),
    "replicate_experiment_naive": lambda asked: list(lines.naive(asked.data)),
    "replicate_experiment_baselines": lambda asked: list(lines.baselines(asked.data, asked.epochs)),
    "replicate_experiment_hybrid": lambda asked: list(lines.hybrid(asked.data)),
    "replicate_appendix_replay": lambda asked: list(lines.replay(asked.data)),
    "replicate_appendix_gs": lambda asked: list(lines.grid_search(asked.data)),
}
STABLE = ("replicate_experiment_1", "replicate_experiment_2")


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says.  Raises: UsageError for a wrong flag or value."""
    parser = Parser(prog="-m tag_repro.scripts.run", description="Run what a script of the papers lists.")
    parser.add_argument("name", choices=SCRIPTS)
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in STABLE:
        parser.add_argument("data", choices=TASKS, help="cifar, mini_imagenet, cub or 5data")
    if words and words[0] == "replicate_experiment_baselines":
        parser.add_argument("epochs", type=int, choices=(1, 5), nargs="?", default=1)
    add_flags(parser, Command, spell=dashed)
    known, rest = parser.parse_known_args(words)
    if rest and not rest[0].startswith("-"):
        raise UsageError(f"{rest[0]!r}: flags of the program are passed on, other words are not")
    return Command(**given(Command, vars(known)), rest=tuple(rest))


def run(command: Command) -> None:
    """Run a script, or print its lines.  Raises: DataError if a run failed."""
    jobs = [job for line in SCRIPTS[command.name](command) for job in _jobs(line, command)]
    if command.dry_run:
        for job in jobs:
            module = job.command[0].removesuffix(".py").replace("/", ".")
            show(shlex.join(["python", "-m", module, *job.command[1:]]))
        return
    with sweep_lock(command.out, PAPER, command.name):
        summary = _run(jobs, command)
    bad = [*summary.failed, *summary.lost]
    for job, reason in bad:
        print(f"failed: {job.key}: {reason}", file=sys.stderr)
    _write_summary(jobs, command)
    if bad:
        raise DataError(f"{len(bad)} of {len(jobs)} runs failed; the same command does them again")


def _jobs(line: Line, asked: Command) -> list[Job]:
    """A line for each of its seeds; a grid search has its seeds inside."""
    command, searching = [line.argv[0], *line.argv[1:]], asked.name == GRID
    if "quick" in asked.rest and not asked.stable and asked.data != "5data":
        command += ["--tasks", "10"]
    command += asked.rest
    if searching:
        command += ["--runs", str(asked.runs)]
    seeds = (STABLE_SEEDS if asked.stable else TAG_SEEDS)[: 1 if searching else asked.runs]
    if asked.runs > len(seeds) and not searching:
        raise UsageError(f"--runs {asked.runs}: the scripts know {len(seeds)} seeds")
    tail = ["--out", "{artefacts}"]
    return [
        Job(PAPER, asked.name, line.setting, line.method, seed, [*command, "--seed", str(seed), *tail])
        for seed in seeds
    ]


def _run(jobs: list[Job], asked: Command) -> Summary:
    """Run what is left of the jobs."""
    store = Folder(asked.out)
    done, todo = split(jobs, store)
    print(f"{asked.name}: {len(jobs)} runs, {len(done)} of them done before", file=sys.stderr, flush=True)
    if not todo:
        return Summary()
    executor = Processes(store, min(asked.jobs, len(todo)))
    try:
        return run_sweep(todo, executor, _say)
    finally:
        executor.stop()


def _say(job: Job, record: RunRecord | None, reason: str) -> None:
    """One line per finished run."""
    metrics = {} if record is None else record.metrics
    words = reason or " ".join(f"{name} {metrics[name]:.4g}" for name in METRICS if name in metrics)
    print(f"{job.key}: {words}", file=sys.stderr, flush=True)


def _write_summary(jobs: list[Job], asked: Command) -> None:
    """summary.csv and summary.md beside the records, the latter printed too."""
    rows: dict[tuple[str, str], list[RunRecord]] = {}
    for job in jobs:
        if record := finished_record(job, asked.out):
            rows.setdefault((job.setting, job.method), []).append(record)
    names = [m for m in METRICS if any(m in r.metrics for records in rows.values() for r in records)]
    folder = RunDir(asked.out / PAPER / asked.name)
    folder.atomic_write_text("summary.csv", csv_table(asked, rows, names))
    text = markdown_table(rows, names)
    folder.atomic_write_text("summary.md", text)
    show(text)
    print(f"tables: {folder.path / 'summary.csv'} and summary.md", file=sys.stderr)


def csv_table(asked: Command, rows: dict[tuple[str, str], list[RunRecord]], names: list[str]) -> str:
    """Returns one line per method: its settings, seeds, and mean and both deviations of every metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    spreads = [f"{name}_{kind}" for name in names for kind in ("mean", "std0", "std1")]
    writer.writerow(["experiment", "setting", "method", *SETTINGS, "n", "seeds", *spreads, "wall_s"])
    for (setting, method), records in rows.items():
        settings = [records[0].settings.get(name, "") for name in SETTINGS]
        cells: list[str] = []
        for name in names:
            values = np.array([r.metrics.get(name, np.nan) for r in records])
            deviation = f"{values.std(ddof=1):.6g}" if len(values) > 1 else ""
            cells += [f"{values.mean():.6g}", f"{values.std():.6g}", deviation]
        seeds = " ".join(str(r.seed) for r in records)
        wall = f"{sum(r.cost.get('wall_s', 0.0) for r in records):.1f}"
        writer.writerow([asked.name, setting, method, *settings, len(records), seeds, *cells, wall])
    return text.getvalue()


def markdown_table(rows: dict[tuple[str, str], list[RunRecord]], names: list[str]) -> str:
    """Returns the means with population deviations, as the papers print them."""
    lines = ["| setting | method | n | " + " | ".join(names) + " |"]
    lines.append("|---|---|---|" + "---|" * len(names))
    for (setting, method), records in rows.items():
        cells = []
        for name in names:
            values = np.array([r.metrics.get(name, np.nan) for r in records])
            cells.append(f"{values.mean():.4g} ± {values.std():.2g}")
        lines.append(f"| {setting} | {method} | {len(records)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


MAIN = Program("scripts/run.py", parse=parse, run=run)
main = MAIN.main

if __name__ == "__main__":
    raise SystemExit(main())
