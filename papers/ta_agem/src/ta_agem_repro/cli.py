"""`main.py`: the command line of the experiments, and the entry point of a sweep's jobs."""

import contextlib
import logging
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from clrepro.arguments import non_negative_int
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from ta_agem_repro.config import DEFAULT, resolve
from ta_agem_repro.program import Parser, exit_code
from ta_agem_repro.result import Result
from ta_agem_repro.settings import ALL_DATASETS, METHODS, TASK_TYPES, Settings
from ta_agem_repro.tasks import Images

TRAINING = ("training_s", "get_from_memory_s", "optimize_s", "add_samples_s")


def parser() -> Parser:
    """Returns the parser; flags that were not given are None, so that the configuration file can speak."""
    out = Parser(
        prog="main.py", description="Domain-incremental learning with A-GEM and a memory of online clusters."
    )
    add = out.add_argument
    add("--config", metavar="FILE", help=f"YAML file of settings (default: {DEFAULT})")
    add("--task_type", choices=TASK_TYPES, help="how tasks differ (default: from the file)")
    add("--experiment_name", metavar="NAME", help="MLflow experiment (default: from the file)")
    add("--dataset", choices=ALL_DATASETS, dest="dataset_name", help="images (default: from the file)")
    add("--lite", action="store_true", default=None, help="quick mode: few tasks, few images")
    add(
        "--no_lite",
        action="store_false",
        dest="lite",
        default=None,
        help="no quick mode",
    )
    add("--no_verbose", action="store_false", dest="verbose", default=None, help="fewer lines, no bar")
    add("--verbose", action="store_true", dest="verbose", default=None, help="a line per epoch, a bar")
    add("--output_dir", metavar="DIR", help="results folder (default: test_results)")
    add("--data_dir", metavar="DIR", help="folder of the data sets: DIR/MNIST or DIR/mnist, and so on")
    add("--seed", type=non_negative_int, help="of every random choice (default: drawn, and recorded)")
    add("--data_seed", type=non_negative_int, help="order of the images (default: the files' own)")
    add("--method", choices=METHODS, help="learner and memory (default: ta-agem)")
    add("--profile", choices=("full", "quick"), default="full", help="quick: bundled digits")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the file; repeatable")
    add("--no_mlflow", action="store_false", dest="use_mlflow", default=None, help="no MLflow run")
    add("--runs", type=non_negative_int, default=1, help="runs with seeds SEED, SEED + 1, ... (default: 1)")
    add("--jobs", type=non_negative_int, default=1, help="how many of them at a time (default: 1)")
    return out


def parse(argv: Sequence[str] | None) -> tuple[Settings, int, int]:
    """Returns the settings of a command line, how many runs it asks for, and how many of them at a time.

    Raises: UsageError in one line for anything wrong, before any data is read.
    """
    flags = vars(parser().parse_args(argv))
    config, changes, profile = (flags.pop(name) for name in ("config", "set", "profile"))
    runs, jobs = flags.pop("runs"), flags.pop("jobs")
    for name, value in (("--runs", runs), ("--jobs", jobs)):
        if value < 1:
            raise UsageError(f"{name} {value}: 1 or more")
    return resolve(flags, config=config, changes=changes, profile=profile), runs, jobs


def main(argv: Sequence[str] | None = None) -> int:
    """Run `main.py`; returns the exit code: 2 for a wrong command line, 1 for missing or damaged files."""
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    return exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    settings, runs, jobs = parse(argv)
    settings = on_device(settings)
    folder = output_folder(settings.output_dir)
    each = [replace(settings, seed=settings.seed + k) for k in range(runs)]
    if min(jobs, runs) == 1:
        with Progress(runs, bar=settings.verbose) as progress:
            for one in each:
                run_once(one, folder, None, progress)
    else:
        run_together(each, folder, min(jobs, runs))


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


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker: argv[0] is main.py.

    Args: work_dir — the job's own folder, for checkpoints.
    Raises: UsageError or DataError, as the program itself would report them.
    """
    program, *rest = argv
    if program != "main.py":
        raise UsageError(f"{program!r} is not a program of a profile; main.py")
    settings, runs, _ = parse(rest)
    if runs != 1:
        raise UsageError("--runs: a sweep runs one seed at a time")
    with contextlib.redirect_stdout(sys.stderr):
        settings = on_device(settings)
        folder = output_folder(settings.output_dir)
        return run_once(settings, folder, RunDir(work_dir), Progress(), pages=False)


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
    images: Images,
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
    return {key: list(v) if isinstance(v, tuple) else v for key, v in settings.fingerprint().items()}
