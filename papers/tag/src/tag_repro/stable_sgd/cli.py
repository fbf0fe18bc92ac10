"""`stable_sgd/main.py`: the original's command line, and the entry point of a sweep's jobs."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from clrepro.arguments import existing_dir, finite_float, non_negative_int, positive_int, true_false
from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from tag_repro.program import Parser, exit_code
from tag_repro.settings import (
    ALIASES,
    ENGINES,
    IMAGE_SETS,
    IMAGES,
    STABLE_DATASETS,
    STABLE_ENGINES,
    StableSettings,
)

PROGRAM = "stable_sgd/main.py"


def common_flags(out: Parser, defaults: Any, datasets: Sequence[str]) -> None:
    """Add the flags that both programs have."""
    add = out.add_argument
    add("--tasks", type=positive_int, default=defaults.tasks, help="number of tasks")
    add("--epochs-per-task", type=positive_int, default=defaults.epochs_per_task, help="passes per task")
    add("--dataset", choices=datasets, default=defaults.dataset, metavar="NAME", help=", ".join(datasets))
    add("--batch-size", type=positive_int, default=defaults.batch_size, help="training images per batch")
    add("--lr", type=finite_float, default=defaults.lr, help="initial learning rate")
    add("--gamma", type=finite_float, default=defaults.gamma, help="factor of the rate per task, 1.0: none")
    add("--dropout", type=finite_float, default=defaults.dropout, help="share of hidden units dropped")
    add("--hiddens", type=positive_int, default=defaults.hiddens, help="units of both hidden layers (MLP)")
    add(
        "--compute-eigenspectrum", type=true_false, nargs="?", const=True, default=False,
        metavar="True|False", help="three eigenvalues of the loss's Hessian after each task",
    )  # fmt: skip
    add("--seed", type=non_negative_int, default=defaults.seed, help="of every random choice")
    add("--data-dir", type=existing_dir, help="folder of the data sets, and nowhere else")
    add(
        "--profile",
        choices=("full", "quick"),
        default="full",
        help="quick: scikit-learn's digits, and synthetic pictures for image sets",
    )
    add("--images", choices=IMAGES, help="what the tasks are made of (default: by profile)")
    add("--device", default="cpu", help="torch device of the reference engine")
    add("--threads", type=positive_int, default=1, help="of torch")
    engines = STABLE_ENGINES if isinstance(defaults, StableSettings) else ENGINES
    words = "; batched: the MLPs of all --seeds together" if "batched" in engines else ""
    add("--engine", choices=engines, default="auto", help=f"fused: compiled MLP; reference: torch{words}")
    add("--decay-start", type=int, choices=(0, 1), default=1,
        help="1: the first task's rate is already decayed once, as in the paper's code")  # fmt: skip
    add("--lr-floor", type=finite_float, default=defaults.lr_floor, help="below which the rate does not fall")
    add("--rotation-step", type=finite_float, default=0.0, metavar="DEGREES",
        help="between rotated tasks (default: 10; main.py: 360 / tasks or so, 10 from 11 on)")  # fmt: skip
    add("--no-plots", action="store_true", help="no figures")
    add("--resume", action="store_true", help="continue an interrupted run of the same settings")
    add("--out", type=Path, default=Path("outputs"), help="folder of the results (default: outputs)")


def settings_of(kind: type[Any], flags: dict[str, Any]) -> Any:
    """Returns the settings of parsed flags, aliases and profile resolved."""
    dataset, quick = ALIASES[flags["dataset"]], flags["profile"] == "quick"
    usual = ("prototypes" if quick else dataset) if dataset in IMAGE_SETS else "digits" if quick else "mnist"
    known = {field.name for field in fields(kind)}
    chosen = {name: value for name, value in flags.items() if name in known}
    return kind(**{**chosen, "images": flags["images"] or usual, "dataset": dataset})


def parser() -> Parser:
    """Returns the parser of `stable_sgd/main.py`."""
    out = Parser(prog="-m stable_sgd.main", description="Stable SGD: a training regimen against forgetting.")
    common_flags(out, StableSettings(), STABLE_DATASETS)
    momentum = StableSettings().momentum
    out.add_argument("--momentum", type=finite_float, default=momentum, help="of SGD, from 0 in every epoch")
    out.add_argument(
        "--seeds",
        type=seed_list,
        metavar="0,1,...",
        help="these seeds instead of --seed, each as a run of its own",
    )
    return out


def seed_list(text: str) -> list[int]:
    """Different seeds with commas between them."""
    seeds = [non_negative_int(word) for word in text.split(",")]
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r} has a seed twice")
    return seeds


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code: 2 for a wrong command line, 1 for missing or damaged files."""
    return exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    flags = vars(parser().parse_args(argv))
    settings = settings_of(StableSettings, flags)
    seeds = flags["seeds"] or [settings.seed]
    if settings.engine == "batched":
        from tag_repro.stable_sgd.many_seeds import run_all

        run_all([replace(settings, seed=seed) for seed in seeds], flags)
        return
    from tag_repro.stable_sgd.outputs import trial_id

    with Progress(len(seeds)) as progress:
        for each in [replace(settings, seed=seed) for seed in seeds]:
            folder = flags["out"] / trial_id(each)
            run = RunDir(folder)
            with run.lock():  # the folder of a command line: two of them would write the same files
                run_once(each, flags, folder, run, progress, fresh=not flags["resume"])


def run_once(
    settings: StableSettings, flags: dict[str, Any], folder: Path, checkpoint: RunDir, progress: Progress,
    *, fresh: bool,
) -> Outcome:  # fmt: skip
    """Do one run; returns what the run record keeps.

    Args: fresh — forget a checkpoint that is there.
    """
    from clrepro.adapters import torch as adapter
    from tag_repro.stable_sgd.outputs import Writer, trial_id
    from tag_repro.stable_sgd.train import run
    from tag_repro.streams import build

    if settings.engine == "reference" or settings.dataset in IMAGE_SETS:
        adapter.use_one_thread() if flags["threads"] == 1 else None
    if fresh:
        checkpoint.remove_state("task")
    seeds = Seeds(settings.seed)
    task_stream = build(settings, seeds.generator("tasks"), flags["data_dir"], multi_head=False)
    writer = Writer(folder, trial_id(settings), plots=not flags["no_plots"])
    result = run(settings, task_stream, seeds, checkpoint=checkpoint, listener=writer, progress=progress)
    writer.finished(result)
    return Outcome(
        metrics=result.metrics(),
        series={"R": result.accuracy, "loss": result.loss, "displacement": result.displacement},
        settings=settings.fingerprint(),
        data={"name": settings.images, **task_stream.checksums},
        cost={"train_s": float(result.seconds.sum())},
    )


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker, argv[0] being the program.

    Args: work_dir — the job's own folder, for checkpoints.
    """
    flags = vars(parser().parse_args(list(argv[1:])))
    settings = settings_of(StableSettings, flags)
    if flags["seeds"] or settings.engine == "batched":
        raise UsageError("--seeds and --engine batched: a job of a sweep is one seed")
    with contextlib.redirect_stdout(sys.stderr):
        quiet = {**flags, "no_plots": True}
        return run_once(settings, quiet, flags["out"], RunDir(work_dir), Progress(), fresh=False)
