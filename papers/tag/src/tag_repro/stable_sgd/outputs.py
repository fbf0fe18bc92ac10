"""What a Stable SGD run prints and writes: the original's files, its lines, and arguments beside them."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from clrepro.io.checkpoint import RunDir
from clrepro.settings import digest, fingerprint
from tag_repro.settings import IMAGE_SETS
from tag_repro.stable_sgd.learners import StableLearner
from tag_repro.stable_sgd.settings import StableSettings
from tag_repro.stable_sgd.train import StableResult


def trial_id(settings: StableSettings) -> str:
    """Returns six hexadecimal digits, upper case, that depend on the settings alone.

    Differs from the original: its identifiers were random, and the arguments were not kept.
    """
    return digest(fingerprint(settings), 6).upper()


class Writer:
    """Prints the progress of a run and writes its files into `folder` as they come up."""

    def __init__(self, folder: Path, trial: str, *, plots: bool = True, prefix: str = "") -> None:
        self.folder, self.trial, self.plots, self._prefix = RunDir(folder), trial, plots, prefix

    def _say(self, line: str) -> None:
        print(self._prefix + line, flush=True)

    def started(self, settings: StableSettings) -> None:
        """The header, and args.json."""
        self._say("=== Stable SGD ===")
        for name in (
            "seed", "dataset", "tasks", "epochs_per_task", "batch_size", "lr", "gamma", "dropout", "hiddens",
        ):  # fmt: skip
            self._say(f"  {name}: {getattr(settings, name)}")
        if settings.tasks == 20 and settings.hiddens < 256 and settings.dataset not in IMAGE_SETS:
            self._say(f"warning: {settings.hiddens} hidden units for 20 tasks; the paper takes 256")
        self._say(f"results: {self.folder.path}")
        self._say(f"Loading {settings.tasks} tasks for {settings.dataset}")
        self.folder.atomic_write_json("args.json", asdict(settings))

    def task(self, number: int, rate: float) -> None:
        """A banner."""
        self._say(f"--- task {number + 1}, learning rate {rate:.6g} ---")

    def evaluated(self, result: StableResult, task: int, learner: StableLearner) -> None:
        """One line per task seen, the tables so far, the parameters."""
        time = (task + 1) * result.settings.epochs_per_task - 1
        for seen in range(task + 1):
            accuracy, loss = 100 * result.accuracy[task, seen], result.loss[task, seen]
            self._say(
                f"epoch {time}, task:{seen + 1}, metrics: {{'accuracy': {accuracy:.2f}, 'loss': {loss:.4f}}}"
            )
        self.tables(result)
        self.model(learner, time)
        if task in result.vectors:
            self.folder.atomic_write_bytes(
                f"task-{task + 1}-epoch-{time}-vec.npy", _npy(result.vectors[task])
            )

    def finished(self, result: StableResult) -> None:
        """The last line, and the figures."""
        metrics = result.metrics()
        if self.plots:
            from tag_repro.plots import accuracy_figure

            for name, table, label in (
                ("accs.png", 100 * result.accuracy, "accuracy (%)"), ("loss.png", result.loss, "loss"),
            ):  # fmt: skip
                self.folder.atomic_write_bytes(name, accuracy_figure(table, label))
        self._say(f"average accuracy = {100 * metrics['A']}, forget = {metrics['F']}")
        self._say("=== end ===")

    def tables(self, result: StableResult) -> None:
        """accs.csv and loss.csv (rows: epochs, columns: tasks, 0 where not evaluated), hessian_eigs.csv."""
        settings, tasks = result.settings, len(result.accuracy)
        for name, table in (("accs.csv", 100 * result.accuracy), ("loss.csv", result.loss)):
            lines = ["," + ",".join(str(number + 1) for number in range(tasks))]
            for time in range(tasks * settings.epochs_per_task):
                task, last = divmod(time + 1, settings.epochs_per_task)
                row = np.nan_to_num(table[task - 1]) if not last else np.zeros(tasks)
                lines.append(f"{time}," + ",".join(f"{value:.10g}" for value in row))
            self.folder.atomic_write_text(name, "\n".join(lines) + "\n")
        known = [t for t in range(tasks) if np.isfinite(result.eigenvalues[t]).all()]
        names = [f"task-{t + 1}-epoch-{(t + 1) * settings.epochs_per_task - 1}" for t in known]
        rows = [",".join(["", *names])]
        rows += [
            ",".join([str(k), *(f"{result.eigenvalues[t, k]:.10g}" for t in known)])
            for k in range(result.eigenvalues.shape[1])
        ]
        self.folder.atomic_write_text("hessian_eigs.csv", "\n".join(rows) + "\n")

    def model(self, learner: StableLearner, time: int) -> None:
        """model-<trial>-<time>.pth: a state dict, written once per task."""
        import io

        import torch

        buffer = io.BytesIO()
        torch.save(learner.module().state_dict(), buffer)
        self.folder.atomic_write_bytes(f"model-{self.trial}-{time}.pth", buffer.getvalue())


def _npy(array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
