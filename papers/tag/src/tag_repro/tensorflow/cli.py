"""The two programs' command lines: `fc_mnist.py` and `conv_split_cifar.py`."""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from clrepro.checkout import install_hint
from clrepro.errors import DataError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome, RunRecord
from clrepro.seeding import Seeds
from clrepro.settings import add_flags, dashed, fingerprint, given
from clrepro.sweep.host import Meter
from tag_repro.program import Parser, Program
from tag_repro.settings import Command
from tag_repro.tensorflow.outputs import Console, Files, of_run, say_metrics
from tag_repro.tensorflow.settings import CONV, DEFAULTS, FC, SESSIONS, TfSession, TfSettings, settings_of

HOME = "external_libs/continual_learning_algorithms"
TITLES = {
    FC: "EWC, A-GEM, ER and plain SGD on rotated or permuted MNIST.",
    CONV: "EWC, A-GEM, ER and plain SGD on CIFAR-100 in tasks of five classes.",
}


class NoTensorFlowError(DataError):
    """TensorFlow is not installed.  Exit code 3, so that scripts can tell."""

    exit_code = 3


def parser(program: str) -> Parser:
    """Returns the parser of one of the two programs."""
    out = Parser(prog=program, description=TITLES[program])
    alone = ("dataset",) if program == CONV else ()  # it has one
    add_flags(out, DEFAULTS[program], spell=dashed, unset=True, leave_out=alone)
    add_flags(out, SESSIONS[program], spell=dashed)
    return out


def parse(argv: Sequence[str] | None, *, program: str) -> Command:
    """Returns what a command line of a program says.  Raises: UsageError for a wrong flag or value."""
    words = tuple(sys.argv[1:] if argv is None else argv)
    flags = vars(parser(program).parse_args(words))
    session = TfSession(**given(TfSession, flags))
    return Command(settings_of(program, flags, session.profile == "quick"), session, words)


def run_shell(command: Command) -> None:
    """Do the runs of a command line, with its files below --log-dir."""
    need_tensorflow()
    files = Files(command.settings, command.session.log_dir)
    with files.folder.lock():
        run_all(command, files)


def run_job(command: Command, work: RunDir) -> Outcome:
    """Do the first run of a command for a sweep, with checkpoints in the job's folder."""
    need_tensorflow()
    session = replace(command.session, resume=True)
    return run_one(of_run(command.settings, 1), session, work, Progress())


def need_tensorflow() -> None:
    """Raises: NoTensorFlowError where it is missing."""
    if importlib.util.find_spec("tensorflow") is None:
        raise NoTensorFlowError(f"TensorFlow is not installed; run {install_hint('tag-tf')}")


def run_all(command: Command, files: Files) -> list[RunRecord]:
    """Do all runs of a command; returns their records."""
    settings, session = command.settings, command.session
    print(f"{files.id}: {settings.profile}, images: {settings.images}", flush=True)
    records: list[RunRecord] = []
    labels = []
    with Progress(settings.num_runs) as progress:
        for run in range(1, settings.num_runs + 1):
            done = files.finished(run) if session.resume else None
            if done is None:
                meter = Meter()
                outcome = run_one(of_run(settings, run), session, files.checkpoint(run), progress)
                outcome = replace(outcome, cost={**meter.cost(), **outcome.cost})
                done = files.write_record(run, outcome, list(command.words))
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


def run_one(settings: TfSettings, session: TfSession, checkpoint: RunDir, progress: Progress) -> Outcome:
    """Do one run, or what is left of it; returns what its record keeps."""
    from tag_repro.tensorflow.streams import task_stream

    if not session.resume:
        checkpoint.remove_state("task")
    seeds = Seeds(settings.random_seed)
    found = task_stream(settings, seeds.generator("tasks"), session.data_dir)  # its errors come at once
    print(f"Experiment-{settings.random_seed} started: {settings.trained_tasks} tasks", flush=True)
    from clrepro.adapters import tf as adapter

    adapter.configure(session.threads)
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
        settings={**fingerprint(settings), "random_seed": settings.random_seed},
        data={"name": settings.images, **found.checksums},
        cost={"train_s": float(result.seconds.sum()) - evaluation, "eval_s": evaluation, "steps": run.steps},
    )


def _program(name: str) -> Any:
    return Program(f"{HOME}/{name}", parse=partial(parse, program=name), run=run_shell, job=run_job)


PROGRAMS = {name: _program(name) for name in (FC, CONV)}
fc_mnist, conv_split_cifar = PROGRAMS[FC].main, PROGRAMS[CONV].main
