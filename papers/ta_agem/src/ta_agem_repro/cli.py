"""`main.py`: the command line of the experiments."""

import logging
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from clrepro.datasets import Dataset
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder
from clrepro.io.checkpoint import RunDir
from clrepro.program import run_command
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.settings import add_flags, check, fingerprint, given, option, underscored
from ta_agem_repro.config import DEFAULT, resolve
from ta_agem_repro.program import Parser, Program
from ta_agem_repro.result import Result
from ta_agem_repro.settings import Settings

TRAINING = ("training_s", "get_from_memory_s", "optimize_s", "add_samples_s")
FLAGS = {"dataset_name": "--dataset", "verbose": "--no_verbose", "use_mlflow": "--no_mlflow"}


@dataclass(frozen=True)
class Session:
    """What a command line says beside the settings of a run."""

    config: str | None = option(None, f"YAML file of settings, else {DEFAULT}", metavar="FILE")
    profile: str = option("full", "quick: bundled digits", choices=("full", "quick"))
    runs: int = option(1, "runs with seeds SEED, SEED + 1, ...", within="[1, inf)")
    jobs: int = option(1, "how many of them at a time", within="[1, inf)")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Command:
    """A command line: the settings of its first run, and how it is done."""

    settings: Settings
    session: Session


def parser() -> Parser:
    """Returns the parser; flags that were not given are None, so that the configuration file can speak."""
    out = Parser(
        prog="main.py", description="Domain-incremental learning with A-GEM and a memory of online clusters."
    )
    add_flags(out, Settings, spell=lambda name: FLAGS.get(name, underscored(name)), unset=True)
    add = out.add_argument
    add("--verbose", action="store_true", default=None, help="a line per epoch, a bar")
    add("--lite", action="store_true", default=None, help="quick mode: few tasks, few images")
    add("--no_lite", action="store_false", dest="lite", default=None, help="no quick mode")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the file; repeatable")
    add_flags(out, Session)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says.

    Raises: UsageError in one line for anything wrong, before any data is read.
    """
    flags = vars(parser().parse_args(argv))
    session, changes = Session(**given(Session, flags)), flags.pop("set")
    own = given(Settings, flags) | {"lite": flags["lite"]}
    return Command(resolve(own, config=session.config, changes=changes, profile=session.profile), session)


def run_shell(command: Command) -> None:
    """Do the runs of a command line."""
    settings, runs = on_device(command.settings), command.session.runs
    folder, jobs = output_folder(settings.output_dir), min(command.session.jobs, runs)
    each = [replace(settings, seed=settings.seed + k) for k in range(runs)]
    if jobs == 1:
        with Progress(runs, bar=settings.verbose) as progress:
            for one in each:
                run_once(one, folder, None, progress)
    else:
        run_together(each, folder, jobs)


def run_job(command: Command, work: RunDir) -> Outcome:
    """Do one run for a sweep, with checkpoints in the job's folder and without figures."""
    if command.session.runs != 1:
        raise UsageError("--runs: a sweep runs one seed at a time")
    settings = on_device(command.settings)
    return run_once(settings, output_folder(settings.output_dir), work, Progress(), pages=False)


def run_together(each: Sequence[Settings], folder: Path, jobs: int) -> None:
    """Do the runs in `jobs` processes; a run that fails does not stop the others.

    Raises: the first failure, when all are done.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")  # a framework does not survive a fork
    with ProcessPoolExecutor(jobs, context) as pool:
        waiting = [pool.submit(_in_worker, replace(one, verbose=False), folder) for one in each]
    try:
        for one in waiting:
            one.result()
    except BrokenProcessPool:
        raise DataError("a worker process died, perhaps for want of memory: fewer --jobs") from None


def _in_worker(settings: Settings, folder: Path) -> None:
    run_once(settings, folder, None, Progress(bar=False, title=f"seed {settings.seed}: "))


def on_device(settings: Settings) -> Settings:
    """Returns the settings with a device that is there; says once if it is not the one asked for.

    "auto", which the configuration file has, asks for nothing: a GPU where there is one.
    """
    if settings.device == "cpu":
        return settings
    import torch

    if torch.cuda.is_available():
        return replace(settings, device="cuda") if settings.device == "auto" else settings
    if settings.device != "auto":
        print(f"device {settings.device} is not there: using the processor")
    return replace(settings, device="cpu")


def output_folder(name: str) -> Path:
    """Returns the results folder: a relative one is made, an absolute one must exist.

    Raises: UsageError if an absolute one does not; DataError if it cannot be written to.
    """
    path = Path(name)
    if path.is_absolute() and not path.is_dir():
        raise UsageError(f"--output_dir {path}: no such folder; an absolute one must exist")
    return make_folder(path)


def run_once(
    settings: Settings, folder: Path, checkpoint: RunDir | None, progress: Progress, pages: bool = True
) -> Outcome:
    """Train, evaluate, write the files, track; returns what the run record keeps.

    Args: pages — also write the figures, 5 MB each.
    """
    from ta_agem_repro.images import load_images

    images = load_images(settings.dataset_name, Path(settings.data_dir) if settings.data_dir else None)
    tracker = None
    if settings.use_mlflow:
        from ta_agem_repro.tracking import Tracker

        tracker = Tracker(settings, datetime.now())
        tracker.started()
    try:
        result, files = trained(settings, images, folder, checkpoint, progress, pages)
    except BaseException as problem:
        if tracker is not None:
            tracker.failed(problem)
        raise
    if tracker is not None:
        tracker.finished(result, files)
    times = {f"{key.replace(' ', '_')}_s": sum(spent) for key, spent in result.times.items()}
    overall = [epoch.overall for epoch in result.epochs]
    return Outcome(
        metrics=result.metrics(),
        series={"a": result.matrix(), "overall": overall, "order": result.task_order},
        settings=recorded(settings),
        data={"name": images.name, **result.data},
        cost={"train_s": sum(times.get(key, 0.0) for key in TRAINING), **times},
    )


def trained(
    settings: Settings,
    images: Dataset,
    folder: Path,
    checkpoint: RunDir | None,
    progress: Progress,
    pages: bool,
) -> tuple[Result, list[Path]]:
    """Train and write the files of a run; returns its result and their paths."""
    from ta_agem_repro.console import Console
    from ta_agem_repro.figures import write_html
    from ta_agem_repro.outputs import write_all
    from ta_agem_repro.train import run

    console = Console(settings)
    result = run(settings, images, checkpoint=checkpoint, listener=console, progress=progress)
    console.finished(result)
    paths = write_all(result, folder, datetime.now())
    if pages:
        paths += write_html(result, paths[0].with_suffix(""))
    for path in paths:
        console.wrote(path)
    if settings.show_images:
        for path in paths:
            if path.suffix == ".html":
                webbrowser.open(path.resolve().as_uri())
    return result, paths


def recorded(settings: Settings) -> dict[str, Any]:
    """Returns the settings that a record keeps: those that decide the numbers."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in fingerprint(settings).items()}


MAIN = Program("main.py", parse=parse, run=run_shell, job=run_job)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `main.py`; returns the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    return MAIN.main(argv)


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker; see `clrepro.program.run_command`."""
    return run_command((MAIN,), argv, work_dir)
