"""The shell scripts' program: their lines for several seeds, one after the other, then one table.

    python -m tag_repro.scripts.run NAME [DATASET [EPOCHS]] [--dry-run] [--runs N] [--jobs N] [PROGRAM FLAGS]

Finished runs are kept: the same command goes on where it was stopped.
"""

import argparse
import csv
import io
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from clrepro.arguments import positive_int
from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.records import RunRecord
from clrepro.sweep import Folder, Job, Processes, Summary, finished_record, run_sweep, split, sweep_lock
from clrepro.sweep.host import show
from tag_repro.program import Parser, exit_code
from tag_repro.scripts import commands as lines
from tag_repro.scripts.commands import TASKS, Line

PAPER, GRID = "tag", "replicate_appendix_gs"
STABLE_SEEDS, TAG_SEEDS = (1234, 4567, 7891, 1, 2), (1, 2, 3, 4, 5)
METRICS = ("A", "F", "F_signed", "LA", "BWT", "lambda1", "lambda2", "lambda3", "displacement",
           "validation_A", "best_lr", "best_b", "best_lambd", "best_dropout", "best_gamma")  # fmt: skip
SETTINGS = ("dataset", "images", "tasks", "epochs_per_task", "batch_size", "lr", "gamma", "dropout",
            "hiddens", "tag_opt", "b", "mem_size", "lambd")  # fmt: skip
Maker = Callable[[argparse.Namespace], Sequence[Line]]
SCRIPTS: dict[str, Maker] = {
    "replicate_experiment_1": lambda given: list(lines.experiment_1()),
    "replicate_experiment_2": lambda given: list(lines.experiment_2()),
    "replicate_experiment_naive": lambda given: list(lines.naive(given.data)),
    "replicate_experiment_baselines": lambda given: list(lines.baselines(given.data, given.epochs)),
    "replicate_experiment_hybrid": lambda given: list(lines.hybrid(given.data)),
    "replicate_appendix_replay": lambda given: list(lines.replay(given.data)),
    "replicate_appendix_gs": lambda given: list(lines.grid_search(given.data)),
}
STABLE = ("replicate_experiment_1", "replicate_experiment_2")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a script; returns 0, 1 if a run failed, 2 for a wrong command line."""
    failed: list[bool] = []
    return exit_code(lambda words: failed.append(_main(words)), argv) or int(failed[0])


def _main(argv: Sequence[str] | None) -> bool:
    """Returns: whether a run failed."""
    given, rest = _parse(argv)
    jobs = [job for line in SCRIPTS[given.name](given) for job in _jobs(line, given, rest)]
    if given.dry_run:
        for job in jobs:
            show(
                shlex.join(
                    ["python", "-m", job.command[0].removesuffix(".py").replace("/", "."), *job.command[1:]]
                )
            )
        return False
    with sweep_lock(given.out, PAPER, given.name):
        summary = _run(jobs, given)
    for job, reason in [*summary.failed, *summary.lost]:
        print(f"failed: {job.key}: {reason}", file=sys.stderr)
    _write_summary(jobs, given)
    return bool(summary.failed or summary.lost)


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The script's own words, and the flags that every line gets."""
    parser = Parser(prog="-m tag_repro.scripts.run", description="Run what a script of the papers lists.")
    parser.add_argument("name", choices=SCRIPTS)
    words = list(sys.argv[1:] if argv is None else argv)
    stable = bool(words) and words[0] in STABLE
    if not stable:
        parser.add_argument("data", choices=TASKS, help="cifar, mini_imagenet, cub or 5data")
    if words and words[0] == "replicate_experiment_baselines":
        parser.add_argument("epochs", type=int, choices=(1, 5), nargs="?", default=1)
    parser.add_argument("--dry-run", action="store_true", help="print the command lines only")
    parser.add_argument("--runs", type=positive_int, default=3, help="seeds per line (the papers: 5)")
    parser.add_argument("--jobs", type=positive_int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="folder of records and tables")
    given, rest = parser.parse_known_args(words)
    given.stable = stable
    if rest and not rest[0].startswith("-"):
        raise UsageError(f"{rest[0]!r}: flags of the program are passed on, other words are not")
    return given, rest


def _jobs(line: Line, given: argparse.Namespace, rest: list[str]) -> list[Job]:
    """A line for each of its seeds; a grid search has its seeds inside."""
    command, searching = [line.argv[0], *line.argv[1:]], given.name == GRID
    if "quick" in rest and not given.stable and given.data != "5data":
        command += ["--tasks", "10"]
    command += rest
    if searching:
        command += ["--runs", str(given.runs)]
    seeds = (STABLE_SEEDS if given.stable else TAG_SEEDS)[: 1 if searching else given.runs]
    if given.runs > len(seeds) and not searching:
        raise UsageError(f"--runs {given.runs}: the scripts know {len(seeds)} seeds")
    tail = ["--out", "{artefacts}"]
    return [
        Job(PAPER, given.name, line.setting, line.method, seed, [*command, "--seed", str(seed), *tail])
        for seed in seeds
    ]


def _run(jobs: list[Job], given: argparse.Namespace) -> Summary:
    """Run what is left of the jobs."""
    store = Folder(given.out)
    done, todo = split(jobs, store)
    print(f"{given.name}: {len(jobs)} runs, {len(done)} of them done before", file=sys.stderr, flush=True)
    if not todo:
        return Summary()
    executor = Processes(store, min(given.jobs, len(todo)))
    try:
        return run_sweep(todo, executor, _say)
    finally:
        executor.stop()


def _say(job: Job, record: RunRecord | None, reason: str) -> None:
    """One line per finished run."""
    metrics = {} if record is None else record.metrics
    words = reason or " ".join(f"{name} {metrics[name]:.4g}" for name in METRICS if name in metrics)
    print(f"{job.key}: {words}", file=sys.stderr, flush=True)


def _write_summary(jobs: list[Job], given: argparse.Namespace) -> None:
    """summary.csv and summary.md beside the records, the latter printed too."""
    rows: dict[tuple[str, str], list[RunRecord]] = {}
    for job in jobs:
        if record := finished_record(job, given.out):
            rows.setdefault((job.setting, job.method), []).append(record)
    names = [m for m in METRICS if any(m in r.metrics for records in rows.values() for r in records)]
    folder = RunDir(given.out / PAPER / given.name)
    folder.atomic_write_text("summary.csv", csv_table(given, rows, names))
    text = markdown_table(rows, names)
    folder.atomic_write_text("summary.md", text)
    show(text)
    print(f"tables: {folder.path / 'summary.csv'} and summary.md", file=sys.stderr)


def csv_table(
    given: argparse.Namespace, rows: dict[tuple[str, str], list[RunRecord]], names: list[str]
) -> str:
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
        writer.writerow([given.name, setting, method, *settings, len(records), seeds, *cells, wall])
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


if __name__ == "__main__":
    raise SystemExit(main())
