"""`main.py`: the TAG driver's command line, and the entry point of a sweep's jobs."""

import contextlib
import csv
import hashlib
import io
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from clrepro.arguments import finite_float, positive_int
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome, canonical_json
from clrepro.seeding import Seeds
from tag_repro.program import Parser, exit_code
from tag_repro.settings import FISHERS, TAG_DATASETS, TagSettings
from tag_repro.stable_sgd.cli import common_flags, settings_of

PROGRAM = "main.py"
COLUMNS = ("run", "method", "A", "F", "F_signed", "LA", "BWT", "seconds")


def parser() -> Parser:
    """Returns the parser of `main.py`."""
    out = Parser(prog="-m main", description="TAG and what it is compared with, task by task.")
    common_flags(out, TagSettings(), TAG_DATASETS)
    add = out.add_argument
    add("--opt", default="", help="'' (SGD), rms, adagrad, adam or tag, and ewc, agem or er, e.g. tag-er")
    add("--tag-opt", default="adam", help="TAG's second moment: rms, adagrad or adam")
    add("--b", type=finite_float, default=5.0, help="TAG's sharpness")
    add("--runs", type=positive_int, default=3, help="runs, with seeds SEED, SEED + 1, ...")
    add("--mem-size", type=positive_int, default=1, help="remembered examples per class (agem, er)")
    add(
        "--multi",
        type=int,
        default=0,
        help="upper bounds: 1: the tasks in turn, six times; 2: jointly; 3: 50,000 images jointly, one head",
    )
    add("--lambd", type=finite_float, default=1.0, help="EWC's strength")
    add("--ewc-fisher", choices=FISHERS, help="how EWC weighs parameters (default: empirical)")
    add("--compat", default="fixed", help="original: the published code's Fisher and bias correction")
    add("--hyp-gs", default="", help="grid search on held-out images: lr, tag, ewc or stable")
    add("--pretrained", default="", metavar="PATH", help="weights of ResNet-18 for cub (a state dict)")
    add("--cub-original-scale", action="store_true", help="cub: pixels scaled as in the published code")
    add("--fresh-tasks", action="store_true", help="permutations and angles of its own for every run")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code: 2 for a wrong command line, 1 for missing or damaged files."""
    return exit_code(_main, argv)


def trial_name(settings: TagSettings) -> str:
    """Returns a folder name that depends on the settings alone."""
    digest = hashlib.sha256(canonical_json(settings.fingerprint()).encode()).hexdigest()[:6].upper()
    return f"{settings.dataset}-{settings.method.name}-{digest}"


def _main(argv: Sequence[str] | None) -> None:
    flags = vars(parser().parse_args(argv))
    settings = tag_settings(flags)
    if settings.hyp_gs:
        from tag_repro.tag.grid import search

        folder = flags["out"] / f"{trial_name(settings)}-grid"
        with RunDir(folder).lock():
            search(settings, flags, folder, resume=flags["resume"])
        return
    folder = flags["out"] / trial_name(settings)
    with RunDir(folder).lock():  # the folder of a command line: two of them would write the same files
        run_all(settings, flags, folder, resume=flags["resume"])


def tag_settings(flags: dict[str, Any]) -> TagSettings:
    """Returns the settings of parsed flags.

    Raises: UsageError for what does not fit together.
    """
    usual = "original-wrong-mask" if flags["compat"] == "original" else "empirical"
    return cast(TagSettings, settings_of(TagSettings, {**flags, "ewc_fisher": flags["ewc_fisher"] or usual}))


def run_all(settings: TagSettings, flags: dict[str, Any], folder: Path, *, resume: bool) -> list[Any]:
    """Do all runs of a command line; returns (result, task_stream) of each."""
    out = RunDir(folder)
    out.atomic_write_json("args.json", asdict(settings))
    _say_settings(settings)
    found = []
    with Progress(settings.runs) as progress:
        for number in range(1, settings.runs + 1):
            work, one = RunDir(folder / f"run-{number}"), replace(settings, seed=settings.seed + number - 1)
            if not resume:
                work.remove_state("task")
            found.append(run_one(one, settings.seed, flags, work, progress))
            result = found[-1][0]
            out.atomic_write_text(f"matrix_{number}.csv", table(100 * np.nan_to_num(result.accuracy)))
            out.atomic_write_text(f"alpha_{number}.csv", table(result.alphas))
            out.atomic_write_text("results.csv", summary(settings, found))
    _say_final(found)
    return found


def run_one(
    settings: TagSettings, base_seed: int, flags: dict[str, Any], work: RunDir, progress: Progress
) -> tuple[Any, Any]:
    """Do one run; returns its result and its task_stream."""
    from clrepro.adapters import torch as adapter
    from tag_repro.streams import TURN_SEED, build
    from tag_repro.tag.train import Run

    if flags["threads"] == 1:
        adapter.use_one_thread()
    print(f"Experiment-{settings.seed} started", flush=True)
    tasks = Seeds(settings.seed if settings.fresh_tasks else base_seed).generator("tasks")
    turn_seed = settings.seed if settings.fresh_tasks else TURN_SEED
    heads = settings.multi != 3
    task_stream = build(settings, tasks, flags["data_dir"], multi_head=heads, turn_seed=turn_seed)
    print(f"task order: {list(range(1, len(task_stream.stream) + 1))}")
    result = Run(settings, task_stream, Seeds(settings.seed), work).train(Console(settings), progress)
    metrics = result.metrics()
    print(
        f"average accuracy = {100 * metrics['A']}, forget = {metrics.get('F', 0.0)}, "
        f"learning accuracy = {100 * metrics.get('LA', 0.0)}",
        flush=True,
    )
    return result, task_stream


class Console:
    """The lines after each task."""

    def __init__(self, settings: TagSettings) -> None:
        self.settings = settings

    def task(self, result: Any, number: int) -> None:
        """The mean accuracy so far, and for TAG each old task's accuracy and weight."""
        seen = result.accuracy[number, : number + 1]
        print(f"TASK {number + 1} / {len(result.accuracy)}  Avg Acc: {100 * seen.mean()}", flush=True)
        if self.settings.method.optimizer == "tag":
            for old in range(number):
                alpha = result.alphas[number, old]
                print(f"  task {old + 1}: accuracy {100 * seen[old]:.2f}, mean alpha {alpha:.4f}")


def table(values: Any) -> str:
    """Returns a matrix as CSV, empty where it is nan."""
    rows = [",".join("" if np.isnan(v) else f"{v:.10g}" for v in row) for row in np.asarray(values, float)]
    return "\n".join(rows) + "\n"


def summary(settings: TagSettings, found: list[Any]) -> str:
    """Returns results.csv: one row per run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, (result, _) in enumerate(found, 1):
        metrics = result.metrics()
        cells = [metrics.get(name, "") for name in COLUMNS[2:-1]]
        writer.writerow([number, settings.method.name, *cells, f"{result.seconds.sum():.2f}"])
    return text.getvalue()


def _say_settings(settings: TagSettings) -> None:
    for name, value in asdict(settings).items():
        print(f"  {name}: {value}")
    print(f"CUDA: {settings.device.startswith('cuda')}")
    print(f"Loading {settings.tasks} tasks for {settings.dataset}", flush=True)


def _say_final(found: list[Any]) -> None:
    """Mean and population deviation over the runs, as the original."""
    parts = []
    for words, key, factor in (
        ("Final Average accuracy", "A", 100), ("forget", "F", 1), ("learning accuracy", "LA", 100),
    ):  # fmt: skip
        values = factor * np.array([result.metrics().get(key, 0.0) for result, _ in found])
        parts.append(f"{words} = {values.mean()} +/- {values.std()}")
    print(" ".join(parts), flush=True)


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker, argv[0] being the program; one run per command.

    Args: work_dir — the job's own folder, for checkpoints.
    """
    flags = vars(parser().parse_args(list(argv[1:])))
    settings = replace(tag_settings(flags), runs=1)
    if settings.hyp_gs:
        return _search(tag_settings(flags), flags, work_dir)
    with contextlib.redirect_stdout(sys.stderr):
        result, task_stream = run_one(settings, settings.seed, flags, RunDir(work_dir), Progress())
    series = {"R": result.accuracy}
    if settings.method.optimizer == "tag":
        series["alpha"] = result.alphas
    return Outcome(
        metrics=result.metrics(),
        series=series,
        settings=settings.fingerprint(),
        data={"name": settings.images, **task_stream.checksums},
        cost={"train_s": float(result.seconds.sum())},
    )


def _search(settings: TagSettings, flags: dict[str, Any], work_dir: Path) -> Outcome:
    """A grid search as a job: what it found best."""
    from tag_repro.tag.grid import search

    with contextlib.redirect_stdout(sys.stderr):
        best, accuracy = search(settings, flags, work_dir, resume=True)
    return Outcome(
        metrics={"validation_A": accuracy, **{f"best_{name}": value for name, value in best.items()}},
        settings=settings.fingerprint() | {"hyp_gs": settings.hyp_gs, "runs": settings.runs},
        data={"name": settings.images},
    )
