"""`HVCL_supervised_main.py`: the supervised experiments, which the original does not contain."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.adapters.tf import configure
from clrepro.arguments import existing_dir
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.settings import add_flags, digest, given
from hvcl_repro.program import Parser, Program
from hvcl_repro.supervised.settings import (
    BENCHMARKS,
    FULL_IMAGES,
    QUICK_IMAGES,
    SupervisedSettings,
)

PROGRAM = "HVCL_supervised_main.py"
# What a benchmark is unless a flag says otherwise.  Spec 4.6, but for the epochs and widths of the README.
FULL: dict[str, dict[str, Any]] = {
    "split-mnist": {"tasks": 5, "hidden": 256, "epochs": 10},
    "permuted-mnist": {"tasks": 10, "hidden": 256, "epochs": 2},
    "split-cifar10": {"tasks": 5, "hidden": 256, "epochs": 20},
    "split-cifar100": {"tasks": 10, "hidden": 256, "epochs": 30, "width": 2.0},
}
# So few images need many steps of a small auto-encoder; with fewer it collapses to their mean.
QUICK_GENERATOR = {"generator_hidden": 200, "latent": 8, "generator_steps": 12}
QUICK: dict[str, dict[str, Any]] = {
    "split-mnist": {
        "tasks": 5, "hidden": 64, "epochs": 60, "batch": 64, "lr": 3e-3, "n_exp": 3, **QUICK_GENERATOR,
    },
    "permuted-mnist": {
        "tasks": 5, "hidden": 64, "epochs": 20, "batch": 64, "lr": 3e-3, "n_exp": 3, **QUICK_GENERATOR,
    },
    "split-cifar10": {"tasks": 5, "hidden": 64, "epochs": 10, "batch": 32, "n_exp": 2},
    "split-cifar100": {"tasks": 10, "hidden": 64, "epochs": 7, "batch": 32, "n_exp": 2},
}  # fmt: skip
UNITS = {"ELBO": " nats", "det_K": "", "experts_used": ""}  # of the results that are no shares


def parser() -> Parser:
    """Returns the parser; flags left out take the benchmark's values."""
    out = Parser(prog=PROGRAM, description="HVCL on supervised tasks with a shared head, or one per task.")
    out.add_argument("--benchmark", choices=BENCHMARKS, default="split-mnist", help="the stream of tasks")
    add_flags(out, SupervisedSettings, unset=True)
    out.add_argument(
        "--profile", choices=("full", "quick"), default="full", help="quick: data that packages bring"
    )
    out.add_argument("--data_dir", type=existing_dir, help="folder of the data sets, and nowhere else")
    out.add_argument("--resume", action="store_true", help="continue an interrupted run of the same settings")
    out.add_argument(
        "--out_dir", type=Path, default=Path("outputs"), help="folder of the results (default: outputs)"
    )
    return out


def settings_of(flags: dict[str, Any]) -> SupervisedSettings:
    """Returns the settings of parsed flags: a flag wins over the profile, that over the defaults."""
    benchmark, quick_run = flags["benchmark"], flags["profile"] == "quick"
    chosen = {
        **(QUICK if quick_run else FULL)[benchmark],
        "images": (QUICK_IMAGES if quick_run else FULL_IMAGES)[benchmark],
    }
    return SupervisedSettings(**chosen | given(SupervisedSettings, flags))


@dataclass(frozen=True)
class Call:
    """A command line: the run's settings, where its data are, and where its files go."""

    settings: SupervisedSettings
    data_dir: Path | None
    out_dir: Path
    resume: bool


def parse(argv: Sequence[str] | None) -> Call:
    """Returns what a command line says.  Raises: UsageError."""
    flags = vars(parser().parse_args(argv))
    return Call(settings_of(flags), flags["data_dir"], flags["out_dir"], flags["resume"])


def run_shell(call: Call) -> None:
    """Do the run of a command line; its numbers go to result.json."""
    settings, fingerprint = call.settings, call.settings.fingerprint()
    name = f"{settings.benchmark}_{settings.method}_{settings.seed}_{digest(fingerprint, 8)}"
    folder = RunDir(call.out_dir / name)
    with folder.lock():
        if not call.resume:
            folder.remove_state("task")
        outcome = run_once(settings, call.data_dir, folder)
        body = {
            "settings": dict(outcome.settings),
            "metrics": dict(outcome.metrics),
            "data": dict(outcome.data),
        }
        series = {
            key: [[None if v != v else v for v in row] for row in outcome.series[key].tolist()]
            for key in ("R", *(("samples",) if settings.generative else ()))
        }
        print(f"written to {folder.atomic_write_json('result.json', body | series)}")


def run_job(call: Call, folder: RunDir) -> Outcome:
    """Do the run for a sweep, with checkpoints in the job's folder."""
    return run_once(call.settings, call.data_dir, folder)


def run_once(settings: SupervisedSettings, data_dir: Path | None, checkpoint: RunDir) -> Outcome:
    """Do one run; returns what the run record keeps."""
    configure(deterministic=False, accelerators=True)
    from hvcl_repro.supervised.benchmarks import build
    from hvcl_repro.supervised.train import run

    seeds = Seeds(settings.seed)
    benchmark = build(settings, seeds.generator("tasks"), data_dir)
    with Progress() as progress:
        result = run(settings, benchmark, seeds, checkpoint=checkpoint, progress=progress)
    metrics = result.metrics()
    for name, value in metrics.items():
        print(f"{name} {100 * value:.2f} %" if name not in UNITS else f"{name} {value:.2f}{UNITS[name]}")
    series: dict[str, Any] = {"R": result.accuracy, "ACC_mc": result.sampled}
    if settings.generative:
        series |= {"elbo": result.elbo, "samples": result.samples}
    return Outcome(
        metrics=metrics, series=series, settings=settings.fingerprint(),
        data={"name": settings.images, **benchmark.checksums}, cost={"train_s": float(result.seconds.sum())},
    )  # fmt: skip


MAIN = Program(PROGRAM, parse=parse, run=run_shell, job=run_job)
main = MAIN.main
