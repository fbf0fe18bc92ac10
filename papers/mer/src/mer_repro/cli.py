"""`main.py`: the original's command line, and the entry point of a sweep's jobs."""

import argparse
import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clrepro import __version__
from clrepro.datasets.locate import sha256
from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome, canonical_json
from clrepro.sweep.host import show
from mer_repro import get_data, outputs
from mer_repro.data import checksums, load_tasks
from mer_repro.program import Parser, exit_code
from mer_repro.settings import CHOICES, MODELS, Settings

HELP = {
    "model": f"learner: {', '.join(MODELS)}",
    "n_hiddens": "units per hidden layer",
    "n_layers": "hidden layers (taskinput counts its input layer among them)",
    "finetune": "independent: start each network from the previous task's (yes/no)",
    "n_epochs": "passes over each task's examples",
    "batch_size": "examples handed over at once",
    "lr": "SGD learning rate, alpha",
    "n_memories": "gem, ewc: examples remembered per task",
    "memory_strength": "gem: margin; ewc: weight of the penalty",
    "memories": "er*, mer*: size of the reservoir",
    "gamma": "meralg1: rate across batches; meralg6, meralg7: Reptile rate",
    "batches_per_example": "meralg1, meralg6: batches per incoming example",
    "s": "meralg7: loss factor of the incoming example",
    "replay_batch_size": "er*, mer*: examples replayed per batch",
    "beta": "meralg1: rate within a batch",
    "cuda": "use the GPU (yes/no)",
    "seed": "of every random choice",
    "log_every": "evaluate every so many calls, and whenever the task changes",
    "save_path": "folder of the result files",
    "data_path": "folder of the task file",
    "data_file": "task file, made by get_data.py",
    "samples_per_task": "examples drawn per task; all if 0 or less",
    "shuffle_tasks": "present the tasks in random order (yes/no)",
    "engine": "fused: compiled; reference: plain torch, the original's draws; auto: fused unless --cuda yes",
    "sampler": "replay draws: fast, or legacy (the original's generator, number by number)",
    "eval_policy": "full: every row; tasks: rows that close a task; metrics: only cells the metrics read",
    "legacy_eval": "leave the last test example out of the count, as the original does (yes/no)",
    "checkpoint_dir": "save between tasks, each run in its own sub-folder, and continue what was interrupted",
    "init_from": "start from a saved model: a .pt of main.py (the original's, too) or a saved state_dict()",
}
YES_NO = ("finetune", "cuda", "shuffle_tasks", "legacy_eval")


def parser() -> argparse.ArgumentParser:
    """Returns the parser: one flag per field of `Settings`, in its order."""
    out = Parser(prog="main.py", description="Continual learning with the ten learners of the MER paper.")
    for name, field in Settings.__dataclass_fields__.items():
        kind: Any = field.type if field.type in (int, float) else str
        default = ("yes" if field.default else "no") if name in YES_NO else field.default
        out.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            choices=CHOICES.get(name),
            help=f"{HELP[name]} (default: {default})",
        )
    return out


def parse(argv: Sequence[str] | None) -> Settings:
    """Returns the settings of a command line; yes/no flags take "yes", anything else means no.

    Raises: UsageError for a wrong flag or value.
    """
    flags = vars(parser().parse_args(argv))
    for name in YES_NO:
        flags[name] = flags[name] == "yes"
    return Settings.from_flags(flags)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `main.py`; returns the exit code: 2 for a wrong command line, 1 for missing or damaged files."""
    return exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    settings = parse(argv)
    data = before(settings)
    with checkpoint_folder(settings, data) as checkpoint:
        run_once(settings, data, checkpoint)


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile inside a worker: argv[0] is main.py or get_data.py.

    Args: work_dir — the job's own folder, for checkpoints.
    Raises: UsageError or DataError, as the program itself would report them.
    """
    program, *rest = argv
    if program == "get_data.py":
        get_data.run(rest)
        return Outcome({})
    if program != "main.py":
        raise UsageError(f"{program!r} is not a program of this paper; main.py or get_data.py")
    settings = parse(rest)
    return Outcome(**run_once(settings, before(settings), RunDir(work_dir)))


def before(settings: Settings) -> dict[str, str]:
    """Returns the evidence of the data and of the saved model, after a look at the folder of the results.

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
    with Progress() as progress:
        result = run(settings, tasks, checkpoint=checkpoint, progress=progress)
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
    fingerprint = asdict(settings) | {"data": dict(data), "version": __version__}
    for name in ("checkpoint_dir", "save_path", "data_path", "data_file", "init_from"):
        del fingerprint[name]
    digest = hashlib.sha256(canonical_json(fingerprint).encode()).hexdigest()[:16]
    folder = RunDir(Path(settings.checkpoint_dir) / f"{settings.model}_seed{settings.seed}_{digest}")
    with folder.lock():
        yield folder
        folder.discard("checkpoint", outputs.NAME_FILE)
