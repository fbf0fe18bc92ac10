"""What result files of different ages call what: evaluations, boundaries, times, batches, frames.

Three ages of the original's pickles are known: one row per evaluation in parallel lists without task ids
(until mid-July 2025), `epoch_data` with boundaries and times per epoch, and the same with the oldest task ids
of the clusters.  Ours have the last form, with one boundary and one time per task and the order of the tasks.
"""

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from ta_agem_repro.result import Epoch

Data = Mapping[Any, Any]
MAX_TASKS = 1 << 15
MAX_CELLS = 1 << 24  # evaluations times tasks
MAX_FRAMES = 1 << 26  # task ids in all of them
MAX_BITS = 256  # of an integer; a float holds 1023


def epochs(data: Data, where: str, rebuilt: list[str]) -> tuple[list[Epoch], list[int]]:
    """Returns the evaluations and the task ids in the order first seen; notes in `rebuilt` what was missing.

    Raises: DataError if there are none, or if a value is no number or no accuracy.
    """
    entries = _listed(data, "epoch_data")
    if isinstance(entries, Sequence) and not entries:
        entries = _from_views(data, where)
        rebuilt.append("epoch_data")
    if not isinstance(entries, Sequence) or not all(isinstance(entry, Mapping) for entry in entries):
        raise DataError(f"{where}: epoch_data is no list of dicts")
    rows = [_accuracies(entry, f"{where}: epoch_data[{e}]") for e, entry in enumerate(entries)]
    n_tasks = max(len(row) for row in rows)
    if n_tasks > MAX_TASKS or n_tasks * len(rows) > MAX_CELLS:
        raise DataError(f"{where}: {len(rows)} evaluations of {n_tasks} tasks; no run has so many")
    order = _order(data, entries, n_tasks, where, rebuilt)
    found = []
    for e, (entry, row) in enumerate(zip(entries, rows, strict=True)):
        place = f"{where}: epoch_data[{e}]"
        found.append(
            Epoch(
                epoch=e,
                task_id=_task(entry.get("task_id"), place),
                accuracies=dict(zip(order, row, strict=False)),
                overall=number(entry.get("overall_accuracy"), f"{place}.overall_accuracy", 0, 1),
                loss=_loss(entry.get("epoch_loss"), f"{place}.epoch_loss"),
                memory_size=int(number(entry.get("memory_size", 0), f"{place}.memory_size", 0, 2**63)),
                learning_rate=_optional(entry.get("learning_rate"), f"{place}.learning_rate"),
                training_time=_optional(entry.get("training_time"), f"{place}.training_time"),
            )
        )
    return found, order


def _from_views(data: Data, where: str) -> list[dict[str, Any]]:
    """Entries of `epoch_data` made from the parallel lists of the oldest files.

    Those have no task ids; their tasks came one after the other, so the present one is the last one measured.
    """
    overall, rows = data.get("task_accuracies"), data.get("per_task_accuracies")
    if not isinstance(overall, Sequence) or not overall:
        raise DataError(f"{where}: neither epoch_data nor task_accuracies; not the metrics of a run")
    n = len(overall)
    rows = rows if isinstance(rows, Sequence) and rows else [[]] * n
    if len(rows) != n or not all(isinstance(row, Sequence) for row in rows):
        raise DataError(f"{where}: per_task_accuracies does not have one list for each of {n} evaluations")
    columns: dict[str, Sequence[Any]] = {}
    for key in ("memory_sizes", "epoch_losses", "learning_rate"):
        values = data.get(key)
        columns[key] = values if isinstance(values, Sequence) and len(values) == n else [None] * n
    return [
        {
            "task_id": max(0, len(rows[e]) - 1),
            "overall_accuracy": overall[e],
            "individual_accuracies": rows[e],
            "epoch_loss": columns["epoch_losses"][e],
            "memory_size": columns["memory_sizes"][e] or 0,
            "learning_rate": columns["learning_rate"][e],
        }
        for e in range(n)
    ]


def _accuracies(entry: Data, place: str) -> list[float]:
    row = entry.get("individual_accuracies")
    if isinstance(row, np.ndarray):
        row = row.tolist()
    if not isinstance(row, Sequence) or isinstance(row, str):
        raise DataError(f"{place}: individual_accuracies is no list")
    return [number(value, f"{place}.individual_accuracies", 0, 1) for value in row]


def _order(data: Data, entries: Sequence[Data], n: int, where: str, rebuilt: list[str]) -> list[int]:
    """The task ids of the columns: stored, or in the order in which tasks first appear.

    Tasks that only were mixed into another's epochs so far have no epoch of their own yet: they follow in
    their natural order, which is the one a mixture brings them in.
    """
    stored = data.get("task_order")
    if stored is not None:
        if (
            not isinstance(stored, Sequence)
            or not all(type(task) is int and 0 <= task < MAX_TASKS for task in stored)
            or not n <= len(set(stored)) == len(stored)
        ):
            raise DataError(f"{where}: task_order {short(stored)}; expected {n} different task ids")
        return list(stored)
    tasks = [_task(entry.get("task_id"), where) for entry in entries]
    order = [task for task in dict.fromkeys(tasks) if task >= 0][:n]
    known = set(order)
    order += [task for task in range(2 * n) if task not in known][: n - len(order)]
    if order != list(range(n)):
        rebuilt.append("task_order")
    return order


def boundaries(data: Data, found: Sequence[Epoch], order: Sequence[int], rebuilt: list[str]) -> list[int]:
    """Returns the index of each task's last own evaluation, by place in `order`; tasks without are left out.

    Files that hold one boundary per epoch, as most of the original's do, get theirs from the task ids.
    """
    stored = data.get("task_boundaries")
    if isinstance(stored, Sequence) and len(stored) == len(order) and "task_order" in data:
        if all(isinstance(end, int) and 0 <= end < len(found) for end in stored):
            return list(stored)
    rebuilt.append("task_boundaries")
    ends = {epoch.task_id: e for e, epoch in enumerate(found)}
    return [ends[task] for task in order if task in ends]


def training_times(data: Data, found: Sequence[Epoch], order: Sequence[int], where: str) -> list[float]:
    """Returns the seconds of each task; times per epoch, as most of the original's files have, are summed."""
    stored = _listed(data, "training_times")
    if not isinstance(stored, Sequence):
        raise DataError(f"{where}: training_times is no list")
    seconds = [number(value, f"{where}: training_times", 0) for value in stored]
    if len(seconds) != len(found) or len(seconds) == len(order):
        return seconds
    return [
        math.fsum(s for s, epoch in zip(seconds, found, strict=True) if epoch.task_id == task)
        for task in order
    ]


def columns(data: Data, where: str) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a `Result`, from the lists of a pickle.  Raises: DataError."""
    batches, frames = _listed(data, "batch_losses"), _listed(data, "oldest_task_ids_tracking")
    try:
        kinds = (("task", np.int16), ("epoch", np.int16), ("batch", np.int32), ("loss", np.float32))
        # A mixed epoch has a fraction in its task: the part of the next task.
        found = {
            f"batch_{'number' if key == 'batch' else key}": _column([b[key] for b in batches], dtype)
            for key, dtype in kinds
        }
    except (KeyError, TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: batch_losses is no list of task, epoch, batch and loss") from None
    try:
        if sum(len(row) for frame, _ in frames for row in frame) > MAX_FRAMES:
            raise ValueError("more than any run has")
        pictures = [[[-1 if task is None else task for task in row] for row in frame] for frame, _ in frames]
        rows = max((len(picture) for picture in pictures), default=0)
        wide = max((len(row) for picture in pictures for row in picture), default=0)
        if len(pictures) * rows * wide > MAX_FRAMES:
            raise ValueError("more than any run has")
        tracking = np.full((len(pictures), rows, wide), -1, np.int16)
        for picture, frame in zip(pictures, tracking, strict=True):
            for row, cells in zip(picture, frame, strict=False):
                cells[: len(row)] = np.floor(row)
        current = _column([-1 if task is None else task for _, task in frames], np.int16)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: oldest_task_ids_tracking is no list of (matrix, task id)") from None
    return found | {"tracking": tracking, "tracking_task": current}


def _column(values: list[Any], dtype: type[np.generic]) -> NDArray[Any]:
    numbers = np.array(values, np.float64)
    if numbers.ndim != 1:
        raise ValueError("a column of lists")
    if np.issubdtype(dtype, np.floating):
        return numbers.astype(dtype)
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    whole = np.floor(numbers)
    if not np.all((whole >= limits.min) & (whole <= limits.max)):
        raise ValueError("a number out of range")
    return whole.astype(dtype)


def _listed(data: Data, key: str) -> Any:
    """What is under a key, [] where there is nothing; of an array, which has no truth value, its list."""
    value = data.get(key)
    if isinstance(value, np.ndarray):
        return value.tolist() if value.ndim else []
    return value or []


def number(value: Any, place: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Returns a number of Python's, numpy's or a tensor of one element as float.

    Raises: DataError naming `place` if it is none, or not in [low, high].
    """
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        value = value.item()
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise DataError(f"{place} is {short(value)}, expected a number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise DataError(f"{place} is an integer of {value.bit_length()} bits, expected a number")
    if not low <= value <= high:
        allowed = f"{low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
        raise DataError(f"{place} is {value!r}, expected {allowed}")
    return float(value)


def _optional(value: Any, place: str) -> float:
    return math.nan if value is None else number(value, place)


def _loss(value: Any, place: str) -> float:
    """A loss, or the mean of the losses of a task's epochs in the oldest files; nan where there is none."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return math.fsum(number(v, place) for v in value) / len(value) if value else math.nan
    return _optional(value, place)


def _task(value: Any, place: str) -> int:
    """A task id; of a mixed epoch, t + i/n, the task that is leaving; -1 where there is none."""
    return -1 if value is None else math.floor(number(value, f"{place}.task_id", -1, MAX_TASKS - 1))


def short(value: Any) -> str:
    """A few words about a value, which may be too large to be written out."""
    try:
        text = reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        text = ""
    return text if 0 < len(text) <= 60 else f"a {type(value).__name__}"
