"""`stable_sgd/main.py`: the original's command line."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.settings import add_flags, dashed, fingerprint, given
from tag_repro.program import Parser, Program
from tag_repro.settings import IMAGE_SETS, Command, settings_of
from tag_repro.stable_sgd.settings import StableSession, StableSettings


def parser() -> Parser:
    """Returns the parser of `stable_sgd/main.py`."""
    out = Parser(prog="-m stable_sgd.main", description="Stable SGD: a training regimen against forgetting.")
    add_flags(out, StableSettings, spell=dashed, unset=True)
    add_flags(out, StableSession, spell=dashed)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says.  Raises: UsageError for a wrong flag or value."""
    flags = vars(parser().parse_args(argv))
    session = StableSession(**given(StableSession, flags))
    settings = settings_of(StableSettings, flags, session.profile == "quick")
    return Command(settings, session)


def run_shell(command: Command) -> None:
    """Do the runs of a command line, each in a folder below --out."""
    settings, session = command.settings, command.session
    runs = [replace(settings, seed=seed) for seed in session.seeds or [settings.seed]]
    if settings.engine == "batched":
        from tag_repro.stable_sgd.many_seeds import run_all

        run_all(runs, session)
        return
    from tag_repro.stable_sgd.outputs import trial_id

    with Progress(len(runs)) as progress:
        for each in runs:
            folder = session.out / trial_id(each)
            run = RunDir(folder)
            with run.lock():  # the folder of a command line: two of them would write the same files
                run_once(each, session, folder, run, progress)


def run_job(command: Command, work: RunDir) -> Outcome:
    """Do one run for a sweep, with checkpoints in the job's folder."""
    settings, session = command.settings, command.session
    if session.seeds or settings.engine == "batched":
        raise UsageError("--seeds and --engine batched: a job of a sweep is one seed")
    quiet = replace(session, no_plots=True, resume=True)
    return run_once(settings, quiet, session.out, work, Progress())


def run_once(
    settings: StableSettings, session: StableSession, folder: Path, checkpoint: RunDir, progress: Progress
) -> Outcome:
    """Do one run, or without --resume all of it anew; returns what the run record keeps."""
    from clrepro.adapters import torch as adapter
    from tag_repro.stable_sgd.outputs import Writer, trial_id
    from tag_repro.stable_sgd.train import run
    from tag_repro.streams import build

    if session.threads == 1 and (settings.engine == "reference" or settings.dataset in IMAGE_SETS):
        adapter.use_one_thread()
    if not session.resume:
        checkpoint.remove_state("task")
    seeds = Seeds(settings.seed)
    task_stream = build(settings, seeds.generator("tasks"), session.data_dir, multi_head=False)
    writer = Writer(folder, trial_id(settings), plots=not session.no_plots)
    result = run(settings, task_stream, seeds, checkpoint=checkpoint, listener=writer, progress=progress)
    writer.finished(result)
    return Outcome(
        metrics=result.metrics(),
        series={"R": result.accuracy, "loss": result.loss, "displacement": result.displacement},
        settings=fingerprint(settings),
        data={"name": settings.images, **task_stream.checksums},
        cost={"train_s": float(result.seconds.sum())},
    )


MAIN = Program("stable_sgd/main.py", parse=parse, run=run_shell, job=run_job)
main = MAIN.main
