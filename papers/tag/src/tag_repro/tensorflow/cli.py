"""The two programs' entry points: `fc_mnist.py`, `conv_split_cifar.py`, and one command of a sweep."""

import contextlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clrepro.errors import DataError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome, RunRecord
from clrepro.seeding import Seeds
from clrepro.sweep.host import Meter
from tag_repro.program import exit_code
from tag_repro.tensorflow.flags import parser, settings_of
from tag_repro.tensorflow.outputs import Files, of_run
from tag_repro.tensorflow.settings import CONV, FC, TfSettings

HOME = "external_libs/continual_learning_algorithms"
PROGRAMS = {f"{HOME}/{name}": name for name in (FC, CONV)}


class NoTensorFlowError(DataError):
    """TensorFlow is not installed.  Exit code 3, so that scripts can tell."""

    exit_code = 3


def fc_mnist(argv: Sequence[str] | None = None) -> int:
    """Run fc_mnist.py; returns the exit code (see `main`)."""
    return main(FC, argv)


def conv_split_cifar(argv: Sequence[str] | None = None) -> int:
    """Run conv_split_cifar.py; returns the exit code (see `main`)."""
    return main(CONV, argv)


def main(program: str, argv: Sequence[str] | None) -> int:
    """Run a program; returns 0, 2 for a wrong command line, 1 for missing or damaged files, 3 without
    TensorFlow.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return exit_code(lambda _: _main(program, words), words)


def _main(program: str, argv: list[str]) -> None:
    flags = vars(parser(program).parse_args(argv))
    settings = settings_of(program, flags)
    need_tensorflow()
    files = Files(settings, flags["log_dir"])
    with files.folder.lock():
        run_all(settings, flags, files, argv)


def need_tensorflow() -> None:
    """Raises: NoTensorFlowError where it is missing."""
    if importlib.util.find_spec("tensorflow") is None:
        raise NoTensorFlowError(
            "TensorFlow is not installed; run 'pip install -e .[tag-tf]' in the repository"
        )


def run_all(settings: TfSettings, flags: dict[str, Any], files: Files, argv: list[str]) -> list[RunRecord]:
    """Do all runs of a command; returns their records."""
    print(f"{files.id}: {settings.profile}, images: {settings.images}", flush=True)
    records: list[RunRecord] = []
    labels = []
    with Progress(settings.num_runs) as progress:
        for run in range(1, settings.num_runs + 1):
            done = files.finished(run) if flags["resume"] else None
            if done is None:
                meter = Meter()
                outcome = run_one(of_run(settings, run), flags, files.checkpoint(run), progress)
                outcome = replace(outcome, cost={**meter.cost(), **outcome.cost})
                done = files.write_record(run, outcome, argv)
            else:
                progress.skip()
                print(f"run {run} is done already")
            records.append(done)
            labels.append([[int(label) for label in task] for task in done.series["classes"]])
            files.write_results(records)
            say_metrics("average accuracy", [done])
    files.write_labels(labels)
    if settings.cross_validate_mode:
        files.append_cross_validation(records)
    if len(records) > 1:
        say_metrics("Final Average accuracy", records)
    return records


def run_one(settings: TfSettings, flags: dict[str, Any], checkpoint: RunDir, progress: Progress) -> Outcome:
    """Do one run, or what is left of it; returns what its record keeps."""
    from tag_repro.tensorflow.streams import task_stream

    if not flags["resume"]:
        checkpoint.remove_state("task")
    seeds = Seeds(settings.random_seed)
    found = task_stream(settings, seeds.generator("tasks"), flags["data_dir"])  # its errors come at once
    print(f"Experiment-{settings.random_seed} started: {settings.trained_tasks} tasks", flush=True)
    from clrepro.adapters import tf as adapter

    adapter.configure(flags["threads"])
    from tag_repro.tensorflow.train import Run

    run = Run(settings, found, seeds, checkpoint)
    result = run.train(Console(), progress)
    evaluation = float(result.test_seconds.sum())
    classes = [found.stream[number].classes for number in range(settings.trained_tasks)]
    return Outcome(
        metrics=result.metrics(),
        series={
            "R": result.accuracy,
            "snapshots": [row.tolist() for row in result.snapshots],
            "classes": classes,
        },
        settings={**settings.fingerprint(), "random_seed": settings.random_seed},
        data={"name": settings.images, **found.checksums},
        cost={"train_s": float(result.seconds.sum()) - evaluation, "eval_s": evaluation, "steps": run.steps},
    )


class Console:
    """The line after each task."""

    def task(self, result: Any, number: int) -> None:
        """The mean accuracy so far and how long the task took."""
        seen = result.accuracy[number, : number + 1]
        print(
            f"TASK {number + 1} / {len(result.accuracy)}  Avg Acc: {100 * seen.mean():.4f}  "
            f"({result.seconds[number]:.1f} s)",
            flush=True,
        )


def say_metrics(title: str, records: list[RunRecord]) -> None:
    """The line of one run, or mean and population deviation of several, as `main.py` prints them."""
    import numpy as np

    parts = []
    for words, key, factor in ((title, "A", 100), ("forget", "F", 1), ("learning accuracy", "LA", 100)):
        values = factor * np.array([record.metrics.get(key, np.nan) for record in records])
        if not np.isnan(values).all():
            spread = f" +/- {values.std()}" if len(records) > 1 else ""
            parts.append(f"{words} = {values.mean()}{spread}")
    print(", ".join(parts), flush=True)


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker, argv[0] being the program; one run per command.

    Args: work_dir — the job's own folder, for checkpoints.
    """
    program = PROGRAMS[argv[0]]
    flags = vars(parser(program).parse_args(list(argv[1:])))
    settings = of_run(settings_of(program, flags), 1)
    need_tensorflow()
    with contextlib.redirect_stdout(sys.stderr):
        return run_one(settings, {**flags, "resume": True}, RunDir(work_dir), Progress())
