"""Result files of every age, ours and the original's, read into one shape; nothing in them is run."""

import io
import logging
import zipfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io import safe_pickle
from clrepro.io.regular_files import read_regular_file, read_regular_text
from clrepro.metrics import continual
from clrepro.records import parse_json_object
from ta_agem_repro import legacy_formats, naming
from ta_agem_repro.result import Epoch

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 28  # the original's largest have a few MB
DTYPES = {
    "batch_task": np.int16, "batch_epoch": np.int16, "batch_number": np.int32, "batch_loss": np.float32,
    "tracking": np.int16, "tracking_task": np.int16,
}  # fmt: skip
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Run:
    """A run as its files tell it; fields that `Result` has too mean the same.

    source — "json" or "pickle"; timestamp — local time, None if the file has none; test_sizes — () where
    unknown, as in every file of the original; extra — what only our JSON has; rebuilt — what the file lacked
    and was made from its other contents or from its name.
    """

    path: Path
    source: str
    timestamp: datetime | None
    params: Mapping[str, Any]
    epochs: list[Epoch]
    task_order: list[int]
    boundaries: list[int]
    training_times: list[float]
    batch_task: NDArray[np.int16]
    batch_epoch: NDArray[np.int16]
    batch_number: NDArray[np.int32]
    batch_loss: NDArray[np.float32]
    tracking: NDArray[np.int16]
    tracking_task: NDArray[np.int16]
    tracking_interval: int = 1
    test_sizes: list[int] = field(default_factory=list)
    extra: Mapping[str, Any] = field(default_factory=dict)
    rebuilt: tuple[str, ...] = ()

    @property
    def task_type(self) -> str:
        """permutation, rotation or class_split; "unknown" if neither file nor name tells."""
        return str(self.params.get("task_type", "unknown"))

    @property
    def num_tasks(self) -> int:
        """Tasks seen, or one more than the largest task id."""
        return max([len(self.task_order), *[task + 1 for task in self.task_order]])

    def matrix(self) -> NDArray[np.float64]:
        """Returns a float64 (E, num_tasks): accuracy after evaluation e on task id k, nan where not seen."""
        a = np.full((len(self.epochs), self.num_tasks), np.nan)
        for row, epoch in zip(a, self.epochs, strict=True):
            for task, accuracy in epoch.accuracies.items():
                row[task] = accuracy
        return a

    def metrics(self) -> dict[str, float]:
        """Returns A, A_T, F1, F, T1 and BWT as fractions, computed anew; nan where the file does not allow
        it.

        Source: spec 1.4 and section 5.  Without test sizes A takes the stored overall accuracies, which are
        micro averages too.
        """
        a = self.matrix()[:, self.task_order]
        found = dict.fromkeys(("A", "A_T", "F1", "F", "T1", "BWT"), float("nan"))
        if self.test_sizes:
            sizes = [self.test_sizes[task] for task in self.task_order]
            found["A"] = continual.mean_accuracy_over_epochs(a, sizes)
        else:
            found["A"] = float(np.mean([epoch.overall for epoch in self.epochs]))
        if not a.shape[1]:
            return found
        found["T1"] = continual.first_task_accuracy(a)
        first = int(np.isnan(a[:, 1]).sum()) if a.shape[1] > 1 else len(a)
        if first:
            found["F1"] = continual.first_task_forgetting(a, first)
        if not np.isnan(a[-1]).any():
            found["A_T"] = continual.average_accuracy(a)
            found["F"] = continual.forgetting_over_epochs(a)
            if len(self.boundaries) == a.shape[1]:
                found["BWT"] = continual.backward_transfer_over_epochs(a, self.boundaries)
        return found


def read(path: Path, *, columns: bool = True) -> Run:
    """Returns the run of a .pkl or .json; where .json and .npz lie beside a pickle, they count.

    Args: columns — read batch losses and tracking too; without, those of a run in JSON stay empty.
    Raises: DataError in one line: missing, damaged, no metrics of a run, or a pickle that asks for more than
        plain values, with the global that it asked for.
    """
    document, archive = path.with_suffix(".json"), path.with_suffix(".npz")
    beside = path.suffix == ".pkl" and document.is_file() and archive.is_file()
    if path.suffix == ".json" or beside:
        data, source, where = _document(document), "json", str(document)
        if columns and not archive.is_file():
            log.warning("%s: no .npz beside it; there are no batch losses and no tracking", where)
        arrays = _archive(archive) if columns and archive.is_file() else {}
    else:
        data, source, where = raw(path), "pickle", str(path)
        arrays = legacy_formats.columns(data, where)
    return _run(path, source, data, where, arrays)


def raw(path: Path) -> dict[str, Any]:
    """Returns the dict in a pickle, as it is.  Raises: DataError."""
    data = safe_pickle.load(path, MAX_BYTES)
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds a {type(data).__name__}, expected the dict of a run's metrics")
    _check_no_circle(data, str(path), set(), set())
    return data


def _check_no_circle(value: Any, where: str, around: set[int], seen: set[int]) -> None:
    """Raises: DataError for a list or table that holds itself: whoever goes through it would never end.

    Args: around — ids of what holds `value`; seen — ids of what was gone through: a few lines of a pickle can
    hold one list a hundred thousand times.
    """
    if not isinstance(value, list | tuple | dict | set | frozenset | deque):
        return
    if id(value) in around:
        raise DataError(f"{where}: a {type(value).__name__} holds itself")
    if id(value) in seen:
        return
    seen.add(id(value))
    for part in [*value, *value.values()] if isinstance(value, dict) else value:
        _check_no_circle(part, where, around | {id(value)}, seen)


def newest(folder: Path, count: int | None = None, *, columns: bool = False) -> tuple[list[Run], list[str]]:
    """Returns the runs in a folder, the latest `count` by their own time stamp (None: all), earliest first,
    and one line for each file that is no readable run.

    Raises: DataError if there is no such folder.
    Differs from the original: it goes by the time of the file, which a copy changes.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; results are in the --output_dir of main.py")
    pickles = sorted(folder.glob("*.pkl"))
    alone = [p for p in sorted(folder.glob("results-*.json")) if not p.with_suffix(".pkl").exists()]
    runs, problems = [], []
    for path in [*pickles, *alone]:
        try:
            runs.append(read(path, columns=columns))
        except DataError as problem:
            problems.append(str(problem))
    runs.sort(key=lambda run: (run.timestamp or datetime.min, run.path.name))
    return runs if count is None else runs[max(0, len(runs) - count) :], problems


def _document(path: Path) -> dict[str, Any]:
    return parse_json_object(read_regular_text(path, MAX_BYTES), str(path))


def _archive(path: Path) -> Columns:
    """The columns of an .npz, each of the type and the number of axes that it must have."""
    data = read_regular_file(path, MAX_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            if (size := sum(member.file_size for member in members.infolist())) > MAX_BYTES:
                raise DataError(f"unpacks to {size} bytes; expected at most {MAX_BYTES}")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in DTYPES}
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror or problem})") from None
    except Exception as problem:  # forged bytes make these readers raise anything
        raise DataError(f"{path}: not the archive of a run ({problem})") from None
    for name, array in arrays.items():
        axes = 3 if name == "tracking" else 1
        if array.dtype != DTYPES[name] or array.ndim != axes:
            raise DataError(
                f"{path}: {name} is {array.dtype} {array.shape}, expected {DTYPES[name].__name__}"
            )
    for names in (("batch_task", "batch_epoch", "batch_number", "batch_loss"), ("tracking", "tracking_task")):
        if len({len(arrays[name]) for name in names}) > 1:
            raise DataError(f"{path}: {', '.join(names)} differ in length")
    return arrays


def _run(path: Path, source: str, data: Mapping[str, Any], where: str, arrays: Columns) -> Run:
    rebuilt: list[str] = []
    epochs, order = legacy_formats.epochs(data, where, rebuilt)
    params = _params(data, path, where, rebuilt)
    extra = data.get("extra")
    extra = extra if source == "json" and isinstance(extra, dict) else {}
    sizes = extra.get("test_sizes") or []
    if sizes and not (isinstance(sizes, list) and all(isinstance(n, int) and n > 0 for n in sizes)):
        raise DataError(
            f"{where}: test_sizes {legacy_formats.short(sizes)}; expected a number of images for each task"
        )
    if sizes and max(order, default=0) >= len(sizes):
        raise DataError(f"{where}: {len(sizes)} test_sizes for the tasks {order}")
    interval = params.get("tracking_interval", 1)
    empty = {name: np.empty((0, 0, 0) if name == "tracking" else 0, dtype) for name, dtype in DTYPES.items()}
    ends = legacy_formats.boundaries(data, epochs, order, rebuilt)
    times = legacy_formats.training_times(data, epochs, order, where)
    return Run(
        path, source, _timestamp(data, path, where), params, epochs, order, ends, times,
        **(empty | arrays), tracking_interval=max(1, interval) if isinstance(interval, int) else 1,
        test_sizes=list(sizes), extra=extra, rebuilt=tuple(rebuilt),
    )  # fmt: skip


def _params(data: Mapping[str, Any], path: Path, where: str, rebuilt: list[str]) -> dict[str, Any]:
    """The parameters; what `params` does not tell comes from the keys of older files and from the name."""
    stored = {} if (given := data.get("params")) is None else given
    if not isinstance(stored, Mapping):
        raise DataError(f"{where}: params is a {type(stored).__name__}, expected a dict")
    params = {str(key): value for key, value in stored.items()}
    found = naming.told(path.stem)
    # Files of July 2025 have these two at the top, "unknown" where the run did not tell.
    older = {"dataset_name": data.get("dataset_name"), "removal_function": data.get("removal")}
    found |= {key: value for key, value in older.items() if value not in (None, "unknown")}
    for key, value in found.items():
        if key not in params:
            params[key] = value
            rebuilt.append(f"params.{key}")
    return params


def _timestamp(data: Mapping[str, Any], path: Path, where: str) -> datetime | None:
    """The stored time, else the one in the file's name, as local time without a zone."""
    stored: Any = data.get("timestamp")
    if stored is not None:
        try:
            time = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
            return time.astimezone().replace(tzinfo=None) if time.tzinfo else time
        except (TypeError, ValueError, OverflowError):  # the last: a year before the first or after the last
            raise DataError(f"{where}: timestamp {legacy_formats.short(stored)}; expected ISO 8601") from None
    return naming.time_told(path.stem)
