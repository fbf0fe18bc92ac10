"""`main.py`: the original's command line, and the entry point of a sweep's jobs."""

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clrepro import __version__
from clrepro.datasets.locate import sha256
from clrepro.io.checkpoint import RunDir
from clrepro.program import run_command
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.settings import add_flags, digest
from clrepro.sweep.host import show
from mer_repro import get_data, outputs
from mer_repro.methods import METHODS
from mer_repro.program import Parser, Program
from mer_repro.settings import Settings
from mer_repro.streams import checksums, load_tasks


def parser() -> argparse.ArgumentParser:
    """Returns the parser: one flag per field of `Settings`, in its order, then those of single methods."""
    out = Parser(prog="main.py", description="Continual learning with the learners of the MER paper.")
    add_flags(out, Settings)
    for method in METHODS.values():
        if hasattr(method, "Options"):
            add_flags(out, method.Options)
    return out


def parse(argv: Sequence[str] | None) -> Settings:
    """Returns the settings of a command line; yes/no flags take "yes", anything else means no.

    Raises: UsageError for a wrong flag or value.
    """
    return Settings.from_flags(vars(parser().parse_args(argv)))


def run_shell(settings: Settings) -> None:
    """Run from a shell, with checkpoints below --checkpoint_dir."""
    data = before(settings)
    with checkpoint_folder(settings, data) as checkpoint:
        run_once(settings, data, checkpoint)


def run_job(settings: Settings, folder: RunDir) -> Outcome:
    """Run for a sweep, with checkpoints in the job's folder."""
    return Outcome(**run_once(settings, before(settings), folder))


def before(settings: Settings) -> dict[str, str]:
    """Returns checksums of the data and of the saved model, after a look at the folder of the results.

    Hours of training must not end at a folder that cannot be written to.
    """
    outputs.check_folder(settings.save_path)
    data = checksums(Path(settings.data_path) / settings.data_file)
    if settings.init_from:
        outputs.read_weights(Path(settings.init_from))
        data["init_from_sha256"] = sha256(Path(settings.init_from))
    return data


def run_once(settings: Settings, data: Mapping[str, str], checkpoint: RunDir | None) -> dict[str, Any]:
    """Train, evaluate, write the result files, print the line; returns what the run record keeps."""
    from mer_repro.train import run  # torch is imported here, not for --help

    base = outputs.kept_base_name(settings, checkpoint)
    tasks = load_tasks(Path(settings.data_path) / settings.data_file)
    if settings.cuda:
        import torch

        if torch.cuda.is_available():  # else the engine explains itself
            show(f"Found GPU: {torch.cuda.get_device_name(0)}")
    weights = outputs.read_weights(Path(settings.init_from)) if settings.init_from else None
    with Progress() as progress:
        result = run(settings, tasks, weights=weights, checkpoint=checkpoint, progress=progress)
    show(outputs.write_results(base, result, settings, data))
    return outputs.record_body(result, settings, data)


@contextlib.contextmanager
def checkpoint_folder(settings: Settings, data: Mapping[str, str]) -> Iterator[RunDir | None]:
    """The run's own, locked folder below --checkpoint_dir, or None without one; removed when the run is done.

    Its name is made from everything that decides the result, so no run continues from another's checkpoint.
    Raises: BusyError if the same run is going on.
    """
    if not settings.checkpoint_dir:
        yield None
        return
    fingerprint = settings.values() | {"data": dict(data), "version": __version__}
    for name in ("checkpoint_dir", "save_path", "data_path", "data_file", "init_from"):
        del fingerprint[name]
    name = f"{settings.model}_seed{settings.seed}_{digest(fingerprint)}"
    folder = RunDir(Path(settings.checkpoint_dir) / name)
    with folder.lock():
        yield folder
        folder.discard("checkpoint", outputs.NAME_FILE)


MAIN = Program("main.py", parse=parse, run=run_shell, job=run_job)
main = MAIN.main


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker; see `clrepro.program.run_command`."""
    return run_command((MAIN, get_data.GET_DATA), argv, work_dir)
