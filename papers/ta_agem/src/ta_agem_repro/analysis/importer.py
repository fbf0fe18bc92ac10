"""`import_to_mlflow.py`: result files of past runs, ours or the original's, into MLflow."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from clrepro.errors import DataError
from clrepro.io.regular_files import read_regular_file
from clrepro.settings import add_flags, check, given, option
from ta_agem_repro import reader, tracking
from ta_agem_repro.program import Parser, Program

HASH = "content_sha256"


@dataclass(frozen=True)
class Command:
    """A command line."""

    input_dir: Path
    last: int | None = option(None, "the newest N files", within="[1, inf)", metavar="N")
    all: bool = option(False, "every file")
    dry_run: bool = option(False, "say what would be imported, change nothing")

    def __post_init__(self) -> None:
        check(self)


def parser() -> Parser:
    """Returns the parser."""
    out = Parser(prog="import_to_mlflow.py", description="Import result files into MLflow, newest first.")
    out.add_argument(
        "--input_dir", required=True, type=Path, help="folder of .pkl files; names the experiment"
    )
    add_flags(out, Command)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says.  Raises: UsageError for a wrong flag or value."""
    return Command(**given(Command, vars(parser().parse_args(argv))))


def run(command: Command) -> None:
    """Import the files.  Raises: DataError without --all or --last, or if nothing can be read or stored."""
    if not (command.all or command.last):
        raise DataError("say which files: --all, or --last N for the newest N")
    if not command.input_dir.is_dir():
        raise DataError(f"{command.input_dir}: no such folder")
    paths = sorted(command.input_dir.glob("*.pkl"), key=lambda path: path.stat().st_mtime, reverse=True)
    paths = paths if command.all else paths[: command.last]
    if not paths:
        raise DataError(f"{command.input_dir}: holds no .pkl file")
    name = command.input_dir.resolve().name
    if command.dry_run:
        for path in paths:
            print(f"would import {path} into {name}")
        return
    try:
        done = import_all(paths, name)
    except tracking.StoreProblem as problem:
        raise DataError(f"MLflow: {problem}") from None
    print(f"{done} imported into {name}, {len(paths) - done} left out")


def import_all(paths: Sequence[Path], name: str) -> int:
    """Import files that are not in the experiment yet, by content; returns how many.

    A file that cannot be read is named and left out.  Raises: tracking.StoreProblem if the store fails.
    """
    connection = tracking.client()
    experiment = tracking.experiment(connection, name)
    done = 0
    for path in paths:
        try:
            digest = hashlib.sha256(read_regular_file(path, reader.MAX_BYTES)).hexdigest()
        except DataError as problem:
            print(f"left out: {problem}")
            continue
        with tracking.patient():
            known = connection.search_runs([experiment], f"tags.{HASH} = '{digest}'", max_results=1)
        if known:
            print(f"{path.name}: there already")
            continue
        try:
            run = reader.read(path)
        except DataError as problem:
            print(f"left out: {problem}")
            continue
        import_one(connection, experiment, path, run, digest)
        print(f"{path.name}: imported")
        done += 1
    return done


def import_one(connection: Any, experiment: str, path: Path, run: reader.Run, digest: str) -> None:
    """Make one MLflow run of a file: parameters, curves, losses, summary, tags, the file itself."""
    from mlflow.entities import Param, RunTag

    stamp = datetime.fromtimestamp(path.stat().st_mtime)
    tags = {
        "source": "imported", "original_filename": path.name, "import_timestamp": datetime.now().isoformat(),
        "task_type": run.task_type, "dataset": str(run.params.get("dataset_name", "unknown")),
        "quick_test": str(bool(run.params.get("quick_test_mode", False))).lower(), HASH: digest,
    }  # fmt: skip
    with tracking.patient():
        made = connection.create_run(experiment, run_name=f"{run.task_type}_{stamp:%Y%m%d_%H%M%S}")
        run_id = made.info.run_id
        params = [Param(key, str(value)[: tracking.LONGEST]) for key, value in sorted(run.params.items())]
        connection.log_batch(run_id, params=params, tags=[RunTag(k, v) for k, v in tags.items()])
    rows = [(k, v, e.epoch) for e in run.epochs for k, v in tracking.metrics_of(e).items()]
    kept = slice(None, None, tracking.EVERY_BATCH)
    for k, (loss, task) in enumerate(zip(run.batch_loss[kept], run.batch_task[kept], strict=True)):
        step = k * tracking.EVERY_BATCH
        rows += [("batch_loss", float(loss), step), ("batch_task", float(task), step)]
    final = tracking.summary_of(run.metrics(), run.epochs[-1], len(run.epochs), len(run.task_order))
    tracking.log_all(connection, run_id, rows + [(key, value, 0) for key, value in final.items()])
    with tracking.patient():
        connection.log_artifact(run_id, str(path), "original_data")
        connection.set_terminated(run_id, "FINISHED")


MAIN = Program("utils/import_to_mlflow.py", parse=parse, run=run)
main = MAIN.main
