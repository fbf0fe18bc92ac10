"""`main.py`: the original's command line, and the door through which a sweep runs one job."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from clrepro.errors import BusyError, DataError, UsageError
from clrepro.records import Outcome
from clrepro.runs import RunDir
from mer_repro import artefacts, get_data
from mer_repro.data import evidence, load_tasks
from mer_repro.settings import CHOICES, MODELS, Settings

if TYPE_CHECKING:
    from mer_repro.train import TrainResult

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
    "checkpoint_dir": "save to this folder between tasks and continue from it",
}
YES_NO = ("finetune", "cuda", "shuffle_tasks", "legacy_eval")


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong flag raises UsageError, so that every door reports it in one way."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; python {self.prog} --help lists the flags")


def parser() -> argparse.ArgumentParser:
    """Returns the parser: one flag per field of `Settings`, in its order."""
    out = _Parser(prog="main.py", description="Continual learning with the ten learners of the MER paper.")
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


def experiment(settings: Settings, checkpoint: RunDir | None) -> "tuple[TrainResult, dict[str, Any]]":
    """Run one experiment; returns its result and the evidence of its data."""
    from mer_repro.train import run  # torch is imported here, not for --help

    path = Path(settings.data_path) / settings.data_file
    tasks = load_tasks(path)
    if settings.cuda:
        import torch

        print(f"Found GPU: {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "Found no GPU")
    if checkpoint is None and settings.checkpoint_dir:
        checkpoint = RunDir(Path(settings.checkpoint_dir))
    return run(settings, tasks, checkpoint=checkpoint), evidence(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `main.py`; returns the exit code: 2 for a wrong command line, 1 for missing or damaged files."""
    try:
        settings = parse(argv)
        base = artefacts.base_name(settings)
        result, data = experiment(settings, None)
        print(artefacts.write_results(base, result, settings, data))
    except (UsageError, DataError, BusyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "error: interrupted; nothing was written (give --checkpoint_dir to continue next time)",
            file=sys.stderr,
        )
        return 130
    return 0


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
    result, data = experiment(settings, RunDir(work_dir))
    print(artefacts.write_results(artefacts.base_name(settings), result, settings, data))
    return Outcome(**artefacts.record_body(result, settings, data))
