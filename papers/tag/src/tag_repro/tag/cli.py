"""`main.py`: the TAG driver's command line."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.settings import add_flags, dashed, fingerprint, given
from tag_repro.program import Parser, Program
from tag_repro.settings import Command, TorchSession
from tag_repro.tables import matrix_csv, results_csv
from tag_repro.tag import outputs
from tag_repro.tag.settings import TagSettings


def parser() -> Parser:
    """Returns the parser of `main.py`."""
    out = Parser(prog="-m main", description="TAG and what it is compared with, task by task.")
    add_flags(out, TagSettings, spell=dashed, unset=True)
    add_flags(out, TorchSession, spell=dashed)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says.  Raises: UsageError for a wrong flag or value."""
    flags = vars(parser().parse_args(argv))
    session = TorchSession(**given(TorchSession, flags))
    return Command(TagSettings.from_flags(flags, session.profile == "quick"), session)


def run_shell(command: Command) -> None:
    """Do the runs of a command line, or its grid search, in a folder below --out."""
    settings, session = command.settings, command.session
    folder = session.out / outputs.trial_name(settings)
    if settings.hyp_gs:
        from tag_repro.tag.grid import search

        folder = folder.with_name(f"{folder.name}-grid")
        with RunDir(folder).lock():
            search(settings, session, folder, resume=session.resume)
        return
    with RunDir(folder).lock():  # the folder of a command line: two of them would write the same files
        run_all(settings, session, folder)


def run_all(settings: TagSettings, session: TorchSession, folder: Path) -> list[Any]:
    """Do all runs of a command line; returns the result of each."""
    out = RunDir(folder)
    out.atomic_write_json("args.json", asdict(settings))
    outputs.say_settings(settings)
    found: list[Any] = []
    with Progress(settings.runs) as progress:
        for number in range(1, settings.runs + 1):
            work, one = RunDir(folder / f"run-{number}"), replace(settings, seed=settings.seed + number - 1)
            if not session.resume:
                work.remove_state("task")
            result, _ = run_one(one, settings.seed, session, work, progress)
            found.append(result)
            out.atomic_write_text(f"matrix_{number}.csv", matrix_csv(100 * np.nan_to_num(result.accuracy)))
            out.atomic_write_text(f"alpha_{number}.csv", matrix_csv(result.alphas))
            rows = [(each.metrics(), float(each.seconds.sum())) for each in found]
            out.atomic_write_text("results.csv", results_csv(settings.method.name, rows))
    outputs.say_final(found)
    return found


def run_one(
    settings: TagSettings, base_seed: int, session: TorchSession, work: RunDir, progress: Progress
) -> tuple[Any, Any]:
    """Do one run; returns its result and its task_stream.

    Args: base_seed — of the command's first run, whose tasks all its runs have.
    """
    from clrepro.adapters import torch as adapter
    from tag_repro.streams import TURN_SEED, build
    from tag_repro.tag.train import Run

    if session.threads == 1:
        adapter.use_one_thread()
    print(f"Experiment-{settings.seed} started", flush=True)
    tasks = Seeds(settings.seed if settings.fresh_tasks else base_seed).generator("tasks")
    turn_seed = settings.seed if settings.fresh_tasks else TURN_SEED
    heads = settings.multi != 3
    task_stream = build(settings, tasks, session.data_dir, multi_head=heads, turn_seed=turn_seed)
    print(f"task order: {list(range(1, len(task_stream.stream) + 1))}")
    run = Run(settings, task_stream, Seeds(settings.seed), work)
    result = run.train(outputs.Console(settings), progress)
    outputs.say_run(result)
    return result, task_stream


def run_job(command: Command, work: RunDir) -> Outcome:
    """Do the first run of a command or its grid search for a sweep, with checkpoints in the job's folder."""
    settings, session = command.settings, command.session
    if settings.hyp_gs:
        return _search(settings, session, work)
    settings = replace(settings, runs=1)
    result, task_stream = run_one(settings, settings.seed, session, work, Progress())
    series = {"R": result.accuracy}
    if settings.method.optimizer == "tag":
        series["alpha"] = result.alphas
    return Outcome(
        metrics=result.metrics(),
        series=series,
        settings=fingerprint(settings),
        data={"name": settings.images, **task_stream.checksums},
        cost={"train_s": float(result.seconds.sum())},
    )


def _search(settings: TagSettings, session: TorchSession, work: RunDir) -> Outcome:
    """A grid search as a job: what it found best."""
    from tag_repro.tag.grid import search

    best, accuracy = search(settings, session, work.path, resume=True)
    return Outcome(
        metrics={"validation_A": accuracy, **{f"best_{name}": value for name, value in best.items()}},
        settings=fingerprint(settings) | {"hyp_gs": settings.hyp_gs, "runs": settings.runs},
        data={"name": settings.images},
    )


MAIN = Program("main.py", parse=parse, run=run_shell, job=run_job)
main = MAIN.main
