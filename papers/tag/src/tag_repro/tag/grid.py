"""Grid search on held-out training images (--hyp-gs); every finished cell is kept."""

import csv
import io
import itertools
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from clrepro.errors import DataError
from clrepro.io.checkpoint import RunDir
from clrepro.io.regular_files import read_regular_text
from clrepro.progress import Progress
from clrepro.seeding import Seeds
from tag_repro.settings import TorchSession
from tag_repro.tag.settings import TagSettings
from tag_repro.task_stream import TaskStream

HELD_OUT = 0.1
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "lr": {"lr": (0.1, 0.05, 0.01, 0.001)},
    "tag": {"b": (5, 1, 7, 3), "lr": (0.005, 0.001, 0.0005, 0.0001, 0.00005, 0.00001)},
    "ewc": {"lr": (0.1, 0.05, 0.01, 0.001), "lambd": (1, 10, 100)},
    "stable": {"dropout": (0, 0.1, 0.25, 0.5), "lr": (0.1, 0.05, 0.01), "gamma": (0.9, 0.8, 0.7)},
}  # of the published code
FILE = "grid.csv"
COLUMNS = ("validation_accuracy", "crc32")

MAX_BYTES = 1 << 26  # of a grid's file


def cells(kind: str) -> list[dict[str, float]]:
    """Returns the settings of every cell, in the order of the published loops."""
    grid = GRIDS[kind]
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def search(
    settings: TagSettings, session: TorchSession, folder: Path, *, resume: bool
) -> tuple[dict[str, float], float]:
    """Train every cell `runs` times on nine tenths of the training images; returns the cell whose accuracy on
    the others, after the last task, is best on average, and that accuracy.

    A cell whose loss becomes no number scores 0.  Writes grid.csv after every cell.
    Raises: DataError for missing data, or a grid.csv of another grid.
    """
    from clrepro.adapters import torch as adapter
    from tag_repro.streams import TURN_SEED, build

    if session.threads == 1:
        adapter.use_one_thread()
    out, names = RunDir(folder), list(GRIDS[settings.hyp_gs])
    tasks = Seeds(settings.seed).generator("tasks")
    task_stream = build(settings, tasks, session.data_dir, multi_head=True, turn_seed=TURN_SEED)
    held_out = task_stream.held_out(HELD_OUT, settings.seed)
    rows = _read(folder / FILE, names) if resume else {}
    every = cells(settings.hyp_gs)
    with Progress(len(every) * settings.runs) as progress:
        for number, cell in enumerate(every, 1):
            key = tuple(cell.values())
            if key in rows:
                progress.skip(settings.runs)
            else:
                rows[key] = _score(replace(settings, **cell), held_out, progress)  # type: ignore[arg-type]
                out.atomic_write_text(FILE, _table(names, rows))
            words = ", ".join(f"{name} {value:g}" for name, value in cell.items())
            print(f"[{number}/{len(every)}] {words}: {100 * rows[key]:.2f}", flush=True)
    best = max(every, key=lambda cell: rows[tuple(cell.values())])
    words = ", ".join(f"{name} {value:g}" for name, value in best.items())
    print(f"best: {words}: validation accuracy {100 * rows[tuple(best.values())]:.2f}", flush=True)
    return best, rows[tuple(best.values())]


def _score(settings: TagSettings, task_stream: TaskStream, progress: Progress) -> float:
    """Mean over runs of the last average accuracy."""
    from tag_repro.tag.train import Run

    found = []
    for number in range(settings.runs):
        one = replace(settings, seed=settings.seed + number)
        try:
            result = Run(one, task_stream, Seeds(one.seed)).train(progress=progress)
            found.append(result.metrics()["A"])
        except FloatingPointError:
            found.append(0.0)
    return float(np.mean(found))


def _table(names: list[str], rows: dict[tuple[float, ...], float]) -> str:
    """A line per cell: settings, accuracy, and the CRC-32 of these, as a cut or changed number is one too."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *COLUMNS])
    for key, value in rows.items():
        line = [*(repr(float(part)) for part in key), repr(value)]
        writer.writerow([*line, _check(line)])
    return text.getvalue()


def _check(line: list[str]) -> str:
    return f"{zlib.crc32(','.join(line).encode()):08x}"


def _read(path: Path, names: list[str]) -> dict[tuple[float, ...], float]:
    """The cells done before."""
    if not path.exists():
        return {}
    try:
        text = read_regular_text(path, MAX_BYTES)
        header, *lines = list(csv.reader(text.splitlines()))
        if header != [*names, *COLUMNS]:
            raise ValueError(f"columns {','.join(header)[:80]}")
        for number, line in enumerate(lines, 2):
            if len(line) != len(header) or _check(line[:-1]) != line[-1]:
                raise ValueError(f"line {number} is damaged")
        return {tuple(map(float, line[:-2])): float(line[-2]) for line in lines}
    except (DataError, ValueError, csv.Error) as problem:
        raise DataError(f"{path}: not a grid of {', '.join(names)} ({problem}); remove it") from None
