"""MLflow: a copy of a run for its web page.  Never the source of truth, and never a reason to stop training.

The store is MLFLOW_TRACKING_URI, else the SQLite file mlflow.db in the working directory with artifacts under
mlruns/.  Nothing leaves the machine.  A new SQLite store is made under a lock and beside its place, so that
runs which start together share one, and one that is killed leaves none half made.
"""

import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from clrepro.io.lock import hold_lock
from ta_agem_repro.result import Epoch, Result
from ta_agem_repro.settings import Settings

STORE = "mlflow.db"
ARTIFACTS = "mlruns"
BLOCK = 1000  # metrics of one call, the most that a store takes
LONGEST = 500  # characters of a parameter's value
EVERY_BATCH = 10  # of the batch losses, every so many are kept
WAIT_S = 5.0  # for a store that another process has locked
MAKING_S = 120.0  # for one that another run is making
SQLITE = "sqlite:///"
SUMMARY = {
    "final_overall_accuracy": "final_accuracy", "average_accuracy_all_epochs": "average_accuracy",
}  # fmt: skip

log = logging.getLogger(__name__)


class StoreProblem(Exception):
    """The store cannot be used; the text says why in one line."""


@contextmanager
def patient() -> Iterator[None]:
    """Turn whatever a store raises into `StoreProblem`."""
    try:
        yield
    except StoreProblem:
        raise
    except Exception as problem:  # SQL, file and network errors of many libraries
        lines = str(problem).strip().splitlines() or [type(problem).__name__]
        raise StoreProblem(lines[0][:160]) from None


def store() -> str:
    """Returns the address of the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(STORE).resolve()}"


def client() -> Any:
    """Returns an MLflow client of the store, made if it is not there yet.

    Raises: StoreProblem if that fails, if its file stays locked for five seconds, or if it is half made.
    """
    address = store()
    # Read at import: no usage statistics are sent, and the log stays ours.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with patient():
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if address.startswith(SQLITE):
            path = Path(address.removeprefix(SQLITE))
            if not _is_made(path):
                with _alone(address):
                    _make(path, mlflow.MlflowClient)
        return mlflow.MlflowClient(tracking_uri=address)


def _alone(address: str) -> Any:
    """Returns a context in which no other run makes anything in this store; a server sees to that itself."""
    if not address.startswith(SQLITE):
        return nullcontext()
    path = Path(address.removeprefix(SQLITE))
    return hold_lock(path.with_name(f".{path.name}.lock"), patience_s=MAKING_S)


def _make(path: Path, opens: Callable[..., Any]) -> None:
    """Make the store beside its place, if no other run has; call it under the lock.  Raises: StoreProblem."""
    if _is_made(path):
        return
    for left_over in path.parent.glob(f".{path.name}.*.tmp"):  # of a run that was killed
        left_over.unlink(missing_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        opens(tracking_uri=f"{SQLITE}{fresh}").search_experiments(max_results=1)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _is_made(path: Path) -> bool:
    """Whether an SQLite file that can be written to is a store; makes an empty file where there is none.

    MLflow itself would wait for minutes on a locked file.
    Raises: StoreProblem if it cannot be written to, or if its making was broken off half way.
    """
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            names = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            last = "SELECT COUNT(*) FROM experiments" if "experiments" in names else "SELECT 0"
            (n,) = connection.execute(last).fetchone()
    except sqlite3.Error as problem:
        raise StoreProblem(f"{path}: {problem}") from None
    if names and not n:  # the default experiment is the last thing that MLflow makes
        raise StoreProblem(
            f"{path} is half made (its making was broken off) and holds no run: move it away, start again"
        )
    return bool(names)


def experiment(connection: Any, name: str) -> str:
    """Returns the id of the experiment of that name, made if it is not there."""
    with patient(), _alone(store()):
        found = connection.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        folder = None if os.environ.get("MLFLOW_TRACKING_URI") else Path(ARTIFACTS).resolve().as_uri()
        # Else the page takes the runs for those of a language model.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        try:
            return str(connection.create_experiment(name, artifact_location=folder, tags=kind))
        except Exception:  # of a server, which another run may have asked first
            found = connection.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)


def metrics_of(epoch: Epoch) -> dict[str, float]:
    """Returns the metrics of one evaluation by their names in MLflow."""
    return {
        "overall_accuracy": epoch.overall, "epoch_loss": epoch.loss, "loss": epoch.loss,
        "memory_size": float(epoch.memory_size), "current_task": float(epoch.task_id),
        "learning_rate": epoch.learning_rate, "training_time": epoch.training_time,
        **{f"task_{task}_accuracy": accuracy for task, accuracy in epoch.accuracies.items()},
    }  # fmt: skip


def summary_of(metrics: dict[str, float], last: Epoch, n_epochs: int, n_tasks: int) -> dict[str, float]:
    """Returns the metrics of a whole run by their names in MLflow; both names of those that have two."""
    out = {
        "final_overall_accuracy": last.overall, "average_accuracy_all_epochs": metrics["A"],
        "final_memory_size": float(last.memory_size), "total_epochs": float(n_epochs),
        "total_tasks": float(n_tasks), "forgetting": metrics["F"], "first_task_forgetting": metrics["F1"],
    }  # fmt: skip
    return out | {alias: out[name] for name, alias in SUMMARY.items()}


def log_all(connection: Any, run_id: str, rows: Sequence[tuple[str, float, int]]) -> None:
    """Log (name, value, step) rows in as few calls as the store allows; values that are no numbers are left
    out.
    """
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    made = [Metric(name, float(value), now, step) for name, value, step in rows if value == value]
    with patient():
        for start in range(0, len(made), BLOCK):
            connection.log_batch(run_id, metrics=made[start : start + BLOCK])


class Tracker:
    """One MLflow run, from `started` to `finished` or `failed`; after its first problem it keeps quiet."""

    def __init__(self, settings: Settings, stamp: datetime) -> None:
        self._settings, self._stamp = settings, stamp
        self._client: Any = None
        self._run = ""

    def _try(self, act: Callable[[], None]) -> None:
        try:
            with patient():
                act()
        except StoreProblem as problem:
            log.warning("MLflow: %s; training goes on without it", problem)
            self._client = None

    def started(self) -> None:
        """Open the run with its parameters and tags."""

        def act() -> None:
            self._client = client()
            from mlflow.entities import Param, RunTag

            settings = self._settings
            name = f"{settings.task_type}_{self._stamp:%Y%m%d_%H%M%S}"
            run = self._client.create_run(experiment(self._client, settings.experiment_name), run_name=name)
            self._run = run.info.run_id
            tags = {
                "task_type": settings.task_type, "dataset": settings.dataset_name, "source": "train",
                "quick_test": str(settings.quick_test_mode).lower(), "method": settings.method,
            }  # fmt: skip
            self._client.log_batch(
                self._run,
                params=[Param(key, str(value)[:LONGEST]) for key, value in sorted(vars(settings).items())],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )

        self._try(act)

    def finished(self, result: Result, files: Sequence[Path]) -> None:
        """Log the curves, the batch losses, the summary and the files, and close the run as FINISHED."""
        if self._client is None:
            return

        def act() -> None:
            rows = [(k, v, e.epoch) for e in result.epochs for k, v in metrics_of(e).items()]
            losses = result.batch_loss[::EVERY_BATCH].tolist()
            rows += [("batch_loss", loss, k * EVERY_BATCH) for k, loss in enumerate(losses)]
            n_tasks = self._settings.num_tasks
            final = summary_of(result.metrics(), result.epochs[-1], len(result.epochs), n_tasks)
            rows += [(key, value, 0) for key, value in final.items()]
            log_all(self._client, self._run, rows)
            for path in files:
                kind = "visualizations" if path.suffix == ".html" else "metrics"
                self._client.log_artifact(self._run, str(path), kind)
            self._client.set_terminated(self._run, "FINISHED")

        self._try(act)

    def failed(self, problem: BaseException) -> None:
        """Close the run as FAILED, or KILLED after Ctrl-C."""
        if self._client is None:
            return
        status = "KILLED" if isinstance(problem, KeyboardInterrupt) else "FAILED"
        self._try(lambda: self._client.set_terminated(self._run, status))
