"""What the two programs write: the original's files, tables beside them, and a record of every run."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.checkpoint import RunDir
from clrepro.io.regular_files import read_regular_text
from clrepro.records import Outcome, RunRecord, read_record
from clrepro.settings import digest, fingerprint
from clrepro.sweep.host import versions
from tag_repro.tables import matrix_csv, results_csv
from tag_repro.tensorflow.settings import CONV, TfSettings

MAX_LOG = 1 << 26
CROSS_VALIDATION_LOG = "cross_validation.txt"


def experiment_id(settings: TfSettings) -> str:
    """Returns a name that depends on the settings and the seed alone.

    Differs from the original: it had the time in it, so that no two runs of a command met.
    """
    digits = digest(fingerprint(settings), 6).upper()
    dataset = settings.dataset.upper().replace("-", "_")
    return f"{dataset}_{settings.arch}_{settings.imp_method}_{settings.random_seed}_{digits}"


class Files:
    """The files of one command under --log-dir.

    <id>.txt: settings; <id>.pickle: {"mean": accuracies}; <id>_task_labels.pickle (CIFAR-100 alone);
    <id>/: args.json, results.csv, matrix_<run>.csv, record_<run>.json, and a folder per unfinished run.
    """

    def __init__(self, settings: TfSettings, log_dir: Path) -> None:
        self.settings, self.id = settings, experiment_id(settings)
        self.log_dir, self.folder = RunDir(log_dir), RunDir(log_dir / self.id)
        shown = {**fingerprint(settings), "num_runs": settings.num_runs, "random_seed": settings.random_seed}
        self.log_dir.atomic_write_text(f"{self.id}.txt", "".join(f"{k}: {v}\n" for k, v in shown.items()))
        self.folder.atomic_write_json("args.json", shown)

    def checkpoint(self, run: int) -> RunDir:
        """Returns the folder of a run's checkpoints; run — 1, 2, ..."""
        return RunDir(self.folder.path / f"run-{run}")

    def finished(self, run: int) -> RunRecord | None:
        """Returns the record of a run if it is there and of these settings."""
        try:
            record = read_record(self.folder.path / f"record_{run}.json")
        except DataError:
            return None
        return record if record.settings_hash == settings_hash(self.settings, run) else None

    def write_record(self, run: int, outcome: Outcome, argv: list[str]) -> RunRecord:
        """Write a run's matrix and record; its checkpoints have done their work and go."""
        record = run_record(self.settings, run, outcome, argv)
        self.folder.atomic_write_text(
            f"matrix_{run}.csv", matrix_csv(100 * np.array(record.series["R"], float))
        )
        self.folder.atomic_write_text(f"record_{run}.json", record.to_json())
        self.checkpoint(run).remove_state("task")
        return record

    def write_results(self, records: list[RunRecord]) -> None:
        """Write results.csv and the original's pickle of the runs so far."""
        rows = [(record.metrics, record.cost["train_s"] + record.cost["eval_s"]) for record in records]
        self.folder.atomic_write_text("results.csv", results_csv(self.settings.imp_method, rows))
        content = pickle.dumps({"mean": raw_accuracies(records)}, protocol=4)
        self.log_dir.atomic_write_bytes(f"{self.id}.pickle", content)

    def write_labels(self, labels: list[list[list[int]]]) -> None:
        """Write <id>_task_labels.pickle: for every run the classes of every task."""
        if self.settings.program == CONV:
            self.log_dir.atomic_write_bytes(f"{self.id}_task_labels.pickle", pickle.dumps(labels, protocol=4))

    def append_cross_validation(self, records: list[RunRecord]) -> None:
        """Add the line of --cross-validate-mode: settings that are searched, and the mean accuracy."""
        s = self.settings
        mean = float(np.mean([record.metrics["A"] for record in records]))
        line = (
            f"{s.imp_method} {s.arch} lambda {s.synap_stgth} lr {s.learning_rate} decay {s.decay} "
            f"batch {s.batch_size} seed {s.random_seed} accuracy {mean:.6f}\n"
        )
        path = self.log_dir.path / CROSS_VALIDATION_LOG
        before = read_regular_text(path, MAX_LOG) if path.exists() else ""
        self.log_dir.atomic_write_text(path.name, before + line)


def settings_hash(settings: TfSettings, run: int) -> str:
    """Returns sha256 (hex) of all that decides the result of a run."""
    return digest({**fingerprint(settings), "seed": settings.random_seed + run - 1}, 64)


def run_record(settings: TfSettings, run: int, outcome: Outcome, argv: list[str]) -> RunRecord:
    """Returns the record of run 1, 2, ... of a command."""
    return RunRecord(
        paper="tag", profile=settings.profile, setting=f"tensorflow/{settings.dataset}",
        method=settings.imp_method, seed=settings.random_seed + run - 1, command=[settings.program, *argv],
        settings=dict(outcome.settings), settings_hash=settings_hash(settings, run),
        metrics=dict(outcome.metrics), series=dict(outcome.series), data=dict(outcome.data),
        versions=versions(), cost=dict(outcome.cost),
    )  # fmt: skip


def of_run(settings: TfSettings, run: int) -> TfSettings:
    """Returns the settings of run 1, 2, ... alone."""
    return replace(settings, random_seed=settings.random_seed + run - 1, num_runs=1)


def raw_accuracies(records: list[RunRecord]) -> NDArray[np.float64]:
    """Returns float64 (runs, tasks, snapshots, tasks): fractions, nan where not evaluated.

    The last snapshot of a task is the one at its end; those before are of --eval-every.
    """
    found = []
    for record in records:
        matrix = np.array(record.series["R"], np.float64)
        rows = np.array(record.series.get("snapshots", []), np.float64).reshape(-1, 2 + len(matrix))
        per_task = [[*rows[rows[:, 0] == number, 2:], matrix[number]] for number in range(len(matrix))]
        most = max(len(some) for some in per_task)
        blank = np.full(len(matrix), np.nan)
        found.append([[blank] * (most - len(some)) + some for some in per_task])
    return np.array(found, np.float64)


class Console:
    """The line after each task."""

    def task(self, result: Any, number: int) -> None:
        """The mean accuracy so far and how long the task took."""
        seen = result.accuracy[number, : number + 1]
        print(
            f"TASK {number + 1} / {len(result.accuracy)}  Avg Acc: {100 * seen.mean():.4f}  "
            f"({result.seconds[number]:.1f} s)",
            flush=True,
        )


def say_metrics(title: str, records: list[RunRecord]) -> None:
    """The line of one run, or mean and population deviation of several, as `main.py` prints them."""
    parts = []
    for words, key, factor in ((title, "A", 100), ("forget", "F", 1), ("learning accuracy", "LA", 100)):
        values = factor * np.array([record.metrics.get(key, np.nan) for record in records])
        if not np.isnan(values).all():
            spread = f" +/- {values.std()}" if len(records) > 1 else ""
            parts.append(f"{words} = {values.mean()}{spread}")
    print(", ".join(parts), flush=True)
