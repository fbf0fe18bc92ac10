"""The papers' own readers.  Each imports its paper inside, so that one that is not installed is left out."""

import fnmatch
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faults.packing import tar_of
from faults.reader_case import AUTHORED, CHECKSUM, ERRORS, EVIDENCE, Subject, write

ENV = "export DATASET_LOCATION_MNIST='/x'\n# c\n"
YAML = """
dataset_name: digits
num_epochs: [1, 2]
learning_rate: 0.05
batch_size: 10
quick_test_mode: true
task_specific:
  permutation: {num_tasks: 2, num_pools: 2, clusters_per_pool: 3}
"""


def mer() -> Iterator[Subject]:
    """Task files in both layouts, hosted archives, result tuples, kept names."""
    import argparse
    import io

    import torch

    from mer_repro.get_data import unpack
    from mer_repro.outputs import read_tuple, read_weights
    from mer_repro.streams import load_tasks, save_dense, save_lazy

    images = np.arange(6 * 784, dtype=np.int64).astype(np.uint8).reshape(6, 784)
    arrays = {"x_train": images, "y_train": np.arange(6), "x_test": images, "y_test": np.arange(6)}
    maps = np.stack([np.arange(784), np.arange(784)[::-1]]).astype(np.int64)

    def lazy(folder: Path) -> Path:
        save_lazy("permutations", "mnist_quick", ["a", "b"], maps, arrays, folder / "mnist_permutations.pt")
        return folder / "mnist_permutations.pt"

    def dense(folder: Path) -> Path:
        save_dense(["a", "b"], maps, arrays, folder / "mnist_permutations.pt")
        return folder / "mnist_permutations.pt"

    def rows(path: Path) -> Any:
        tasks = load_tasks(path)
        return [tasks.test_rows(t) for t in range(2)]

    def hosted(folder: Path, payload: bytes | None = None) -> Path:
        import gzip
        import tarfile

        data = payload if payload is not None else lazy(folder).read_bytes()
        archive = tar_of([(tarfile.TarInfo("mnist/mnist_permutations.pt"), data)])
        return write(folder / "mnist_permutations.tar.gz", gzip.compress(archive, 1, mtime=0))

    def unpacked(path: Path) -> Any:
        return [load_tasks(done) and done.read_bytes() for done in unpack(path, path.parent / "out")]

    def results(folder: Path) -> Path:
        buffer = io.BytesIO()
        torch.save(
            (
                torch.eye(2),
                torch.ones(2),
                {"w": torch.eye(2)},
                [torch.tensor(0.5)],
                "x",
                argparse.Namespace(a=1),
            ),
            buffer,
        )
        return write(folder / "results.pt", buffer.getvalue())

    yield Subject("mer: task files", lazy, rows, EVIDENCE, ERRORS)
    yield Subject("mer: dense task files", dense, rows, EVIDENCE, ERRORS)
    yield Subject("mer: hosted archives", hosted, unpacked, EVIDENCE, ERRORS, hosted)
    yield Subject("mer: result tuples", results, read_tuple, EVIDENCE, ERRORS)
    yield Subject("mer: models to start from", results, read_weights, EVIDENCE, ERRORS)


def ta_agem() -> Iterator[Subject]:
    """YAML, .env, result files of every age, models."""
    import io

    import torch

    from ta_agem_repro import reader
    from ta_agem_repro.config import resolve
    from ta_agem_repro.images import read_env
    from ta_agem_repro.outputs import load_model

    entry = {
        "task_id": 0,
        "overall_accuracy": 0.5,
        "individual_accuracies": [0.5],
        "epoch_loss": 0.25,
        "memory_size": 3,
    }
    run = {
        "params": {"task_type": "permutation"}, "timestamp": "2025-08-01T10:00:00", "task_order": [0, 1],
        "task_boundaries": [0, 1], "training_times": [1.0, 2.0],
        "epoch_data": [entry, {**entry, "task_id": 1, "individual_accuracies": [0.25, 0.75]}],
    }  # fmt: skip

    def old(folder: Path) -> Path:
        return write(folder / "results-x.pkl", pickle.dumps(run, 4))

    def document(folder: Path) -> Path:
        import json

        return write(folder / "results-x.json", json.dumps(run))

    def archive(folder: Path) -> Path:
        document(folder)
        columns = {name: np.zeros((0, 1, 1) if name == "tracking" else (0 if "track" in name else 4), kind)
                   for name, kind in reader.DTYPES.items()}  # fmt: skip
        np.savez_compressed(folder / "results-x.npz", allow_pickle=False, **columns)
        return folder / "results-x.npz"

    def measured(path: Path) -> Any:
        found = reader.read(path.with_suffix(".json") if path.suffix == ".npz" else path)
        return found.epochs, found.metrics(), found.batch_loss, found.tracking

    def model(folder: Path) -> Path:
        buffer = io.BytesIO()
        torch.save({"0.weight": torch.eye(3), "0.bias": torch.ones(3)}, buffer)
        return write(folder / "model.pt", buffer.getvalue())

    def settings(path: Path) -> Any:
        return resolve({"seed": 1}, config=str(path))

    yield Subject("ta_agem: yaml", lambda folder: write(folder / "x.yaml", YAML), settings, AUTHORED, ERRORS)
    yield Subject("ta_agem: .env", lambda folder: write(folder / ".env", ENV), read_env, AUTHORED, ERRORS)
    yield Subject("ta_agem: result pickles", old, measured, EVIDENCE, ERRORS)
    yield Subject("ta_agem: result documents", document, measured, EVIDENCE, ERRORS)
    yield Subject("ta_agem: result archives", archive, measured, EVIDENCE, ERRORS)
    yield Subject("ta_agem: models", model, load_model, EVIDENCE, ERRORS)


def tag() -> Iterator[Subject]:
    """Grids, published weights, pickles of accuracies."""
    from tag_repro.tag import grid
    from tag_repro.tensorflow.summary import last_row

    def weights(folder: Path) -> Path:
        import io

        import torch

        from tag_repro.networks.resnet18 import ResNet18

        torch.manual_seed(0)
        buffer = io.BytesIO()
        torch.save({k: v.half() for k, v in ResNet18(2).state_dict().items()}, buffer)
        return write(folder / "resnet18.pt", buffer.getvalue())

    def load(path: Path) -> Any:
        from tag_repro.networks.resnet18 import ResNet18, load_pretrained

        network = ResNet18(2)
        load_pretrained(network, path)
        return network.state_dict()["conv1.weight"]

    known = {(0.1,): 0.5, (0.01,): 0.625, (0.001,): 0.25}

    def cells(folder: Path) -> Path:
        return write(folder / "grid.csv", grid._table(["lr"], known))

    def wrong_cells(path: Path) -> Any:
        """What differs from what was written; cells that are cut off are searched again."""
        return {key: value for key, value in grid._read(path, ["lr"]).items() if known.get(key) != value}

    def accuracies(folder: Path) -> Path:
        return write(folder / "x.pickle", pickle.dumps({"mean": np.arange(8.0).reshape(1, 2, 2, 2)}, 4))

    yield Subject("tag: grids", cells, wrong_cells, CHECKSUM, ERRORS)
    yield Subject("tag: accuracies", accuracies, last_row, EVIDENCE, ERRORS)
    yield Subject("tag: published weights", weights, load, EVIDENCE, ERRORS)


def rewire() -> Iterator[Subject]:
    """Checkpoints of tensors."""
    import io

    import torch

    from rewire_repro.checkpoint import _read

    def made(folder: Path) -> Path:
        buffer = io.BytesIO()
        torch.save({"meta": {"stage": 1}, "state": {"w": torch.eye(3)}}, buffer)
        return write(folder / "task.pt", buffer.getvalue())

    yield Subject("rewire: checkpoints", made, _read, CHECKSUM, ERRORS)


PAPERS = {"mer": mer, "ta_agem": ta_agem, "tag": tag, "rewire": rewire}


def every(papers: "list[str] | None" = None, glob: str = "*") -> Iterator[Subject]:
    """Yields the core's readers and those of the papers that can be imported; says which cannot.

    Args: papers — of these only; glob — readers whose name matches.
    """
    yield from (subject for subject in _all(papers) if fnmatch.fnmatchcase(subject.name, glob))


def _all(papers: "list[str] | None") -> Iterator[Subject]:
    import sys

    from faults import reader_cases_core

    yield from reader_cases_core.subjects()
    for name, found in PAPERS.items():
        if papers is not None and name not in papers:
            continue
        try:
            yield from found()
        except ImportError as problem:
            print(f"left out: readers of {name} ({problem})", file=sys.stderr)
