"""The files of a finished run: the original's pickle, and beside it the JSON and NPZ that count."""

import io
import itertools
import json
import math
import pickle
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro import __version__
from clrepro.errors import BusyError, DataError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.lock import hold_lock
from clrepro.io.regular_files import open_regular_file
from ta_agem_repro.naming import stem
from ta_agem_repro.networks import N_CLASSES
from ta_agem_repro.result import Epoch, Result

ENDINGS = (".pkl", ".json", ".npz", ".pt")
COLUMNS = ("batch_losses", "oldest_task_ids_tracking")  # keys that the NPZ holds in the JSON's place
PICKLE_PROTOCOL = 4  # what every Python since 3.8 writes by itself


def write_all(result: Result, out: Path, stamp: datetime) -> list[Path]:
    """Write <stem>.pkl, .json and .npz, and .pt with save_model, into the folder `out`: all of them or none.

    Args: stamp — local time of the run's end; of several runs in one second the later ones get _1, _2, …
    Returns: the paths, the pickle first.  Raises: DataError if the folder does not take them.
    Differs from the original: it overwrites the file of a run that ended in the same second.
    """
    make_folder(out)
    data = contents(result, stamp)
    parts = {".json": json_file(result, data), ".npz": npz_file(result)}
    if result.settings.save_model:
        parts[".pt"] = model_file(result)
    parts[".pkl"] = pickle.dumps(data, PICKLE_PROTOCOL)  # last: where a pickle is, the rest is too
    with claimed(out, stem(result.settings, stamp)) as name:
        paths = {ending: out / f"{name}{ending}" for ending in parts}
        try:
            for ending, content in parts.items():
                write_atomically(paths[ending], content)
        except DataError:
            for path in paths.values():
                path.unlink(missing_ok=True)
            raise
    return [paths[ending] for ending in ENDINGS if ending in paths]


MAX_MODEL = 1 << 30  # bytes of a file of parameters


@contextmanager
def claimed(out: Path, base: str) -> Iterator[str]:
    """Hold the first of base, base_1, base_2, … that no file bears and no other writer holds.

    The claim is a lock and no empty file, so it dies with its process and no reader ever sees it.
    Raises: DataError if the folder takes no lock file.
    """
    for number in itertools.count():
        name = f"{base}_{number}" if number else base
        lock = out / f".{name}.lock"
        with ExitStack() as held:
            try:
                held.enter_context(hold_lock(lock))
            except BusyError:
                continue
            held.callback(lock.unlink, missing_ok=True)
            if not any((out / f"{name}{ending}").exists() for ending in ENDINGS):
                yield name
                return


def contents(result: Result, stamp: datetime) -> dict[str, Any]:
    """Returns what the pickle holds, plain builtins only.  Source: spec 2.5, its table."""
    epochs = [_epoch(epoch) for epoch in result.epochs]
    return {
        "epoch_data": epochs,
        "task_boundaries": [int(end) for end in result.boundaries],
        "batch_losses": [
            {"task": task, "epoch": epoch, "batch": number, "loss": loss}
            for task, epoch, number, loss in zip(
                result.batch_task.tolist(), result.batch_epoch.tolist(), result.batch_number.tolist(),
                result.batch_loss.tolist(), strict=True,
            )
        ],
        "training_times": [float(seconds) for seconds in result.training_times],
        "oldest_task_ids_tracking": [
            ([[None if task < 0 else task for task in row] for row in frame], current)
            for frame, current in zip(result.tracking.tolist(), result.tracking_task.tolist(), strict=True)
        ],
        "timestamp": stamp.isoformat(),
        "task_accuracies": [e["overall_accuracy"] for e in epochs],
        "per_task_accuracies": [list(e["individual_accuracies"]) for e in epochs],
        "memory_sizes": [e["memory_size"] for e in epochs],
        "epoch_losses": [[e["epoch_loss"]] for e in epochs],
        "learning_rate": [e["learning_rate"] for e in epochs],
        "memory_efficiency": [
            e["overall_accuracy"] / e["memory_size"] if e["memory_size"] else 0.0 for e in epochs
        ],
        "params": params(result),
        "task_order": [int(task) for task in result.task_order],
    }  # fmt: skip


def _epoch(epoch: Epoch) -> dict[str, Any]:
    return {
        "epoch": int(epoch.epoch),
        "task_id": int(epoch.task_id),
        "overall_accuracy": float(epoch.overall),
        "individual_accuracies": [float(accuracy) for accuracy in epoch.accuracies.values()],
        "epoch_loss": float(epoch.loss),
        "memory_size": int(epoch.memory_size),
        "learning_rate": float(epoch.learning_rate),
        "training_time": float(epoch.training_time),
    }


def params(result: Result) -> dict[str, Any]:
    """Returns the settings under the original's names, and seed, method and version."""
    settings = result.settings
    same = (
        "add_remove_randomly", "batch_size", "dataset_name", "experiment_name", "hidden_dim", "input_dim",
        "learning_rate", "memory_size_p", "memory_size_q", "num_pools", "num_tasks", "output_dir",
        "quick_test_mode", "random_em", "sampling_rate", "task_type", "task_introduction", "verbose",
        "removal_function", "seed", "method",
    )  # fmt: skip
    epochs = settings.num_epochs
    return {name: getattr(settings, name) for name in same} | {
        "num_classes": N_CLASSES,
        "num_epochs": epochs if isinstance(epochs, int) else list(epochs),
        "use_lr_scheduler": settings.use_learning_rate_scheduler,
        "tracking_interval": int(result.tracking_interval),
        "version": __version__,
    }


def json_file(result: Result, data: Mapping[str, Any]) -> bytes:
    """Returns the .json: `data` without its long columns, and under "extra" what the original does not keep.

    extra — all settings; metrics as fractions, null where not defined; test images per task id; A-GEM steps
    with a memory batch, those projected, the sum of their cosines; samples offered and stored per label;
    sha256 of the data; seconds by phase as [calls, total].
    """
    extra = {
        "settings": asdict(result.settings),
        "metrics": {name: _number(value) for name, value in result.metrics().items()},
        "test_sizes": [int(size) for size in result.test_sizes],
        "steps": int(result.steps),
        "projected": int(result.projected),
        "cosine_sum": float(result.cosine_sum),
        "offered": {str(label): int(count) for label, count in result.offered.items()},
        "stored": {str(label): int(count) for label, count in result.stored.items()},
        "data": dict(result.data),
        "times": {key: [len(spent), float(sum(spent))] for key, spent in result.times.items()},
    }
    kept = {key: value for key, value in data.items() if key not in COLUMNS}
    return (json.dumps({**kept, "extra": extra}, indent=1, allow_nan=False) + "\n").encode()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def npz_file(result: Result) -> bytes:
    """Returns the .npz: batch_task, batch_epoch int16, batch_number int32, batch_loss float32, each
    (n_batches,); tracking int16 (frames, pools, Q), -1 for none; tracking_task int16 (frames,).
    """
    columns: dict[str, NDArray[Any]] = {
        "batch_task": result.batch_task.astype(np.int16), "batch_epoch": result.batch_epoch.astype(np.int16),
        "batch_number": result.batch_number.astype(np.int32),
        "batch_loss": result.batch_loss.astype(np.float32), "tracking": result.tracking.astype(np.int16),
        "tracking_task": result.tracking_task.astype(np.int16),
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    return buffer.getvalue()


def model_file(result: Result) -> bytes:
    """Returns the .pt: the state dict of Sequential(Linear, ReLU, Linear, …), weights (out, in)."""
    import torch

    state = {}
    for place, (weight, bias) in enumerate(result.parameters):
        # Every second module is a ReLU, which has no parameters.
        state[f"{2 * place}.weight"] = torch.from_numpy(np.ascontiguousarray(weight.T))
        state[f"{2 * place}.bias"] = torch.from_numpy(np.array(bias))
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_model(path: Path) -> dict[str, Any]:
    """Returns the state dict of a .pt, tensors and nothing else admitted.  Raises: DataError."""
    import torch

    try:
        with open_regular_file(path, MAX_MODEL) as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except Exception as problem:  # damage and refused globals come as almost any kind of error
        reason = str(problem).strip().split("\n")[0]
        raise DataError(f"{path}: not a state dict of tensors ({reason[:120]})") from None
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise DataError(f"{path}: not a state dict of tensors")
    return state
