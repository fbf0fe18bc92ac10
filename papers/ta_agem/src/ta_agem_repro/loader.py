"""`load_dataset(name)`: the original's loaders, for code that used them; and the program that fetches the
data.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets import Dataset
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.regular_files import read_regular_text
from clrepro.streams import Task
from ta_agem_repro import streams
from ta_agem_repro.images import MAX_ENV, VARIABLES, load_images, read_env
from ta_agem_repro.program import Parser, Program
from ta_agem_repro.settings import ALL_DATASETS, DATASETS, Settings

# Where kagglehub has them; the original's identifiers.
KAGGLE = {
    "mnist": "hojjatk/mnist-dataset", "fashion_mnist": "zalando-research/fashionmnist",
    "cifar10": "pankrzysiu/cifar10-python",
}  # fmt: skip


class Shuffler(Protocol):
    """Numbers for the order of batches."""

    def permutation(self, n: int) -> NDArray[np.int64]:
        """Returns 0 to n - 1 in random order."""


class Batches:
    """Batches (x float32 (b, inputs) in [0, 1], y int64 (b,)) of a task as torch tensors, anew at each pass.

    Args: rng — shuffles every pass and drops what is left of the last batch; None: in order, all of it.
    """

    def __init__(
        self,
        x: NDArray[np.uint8],
        y: NDArray[np.int64],
        batch_size: int,
        rng: Shuffler | None,
        cuda: bool = False,
    ) -> None:
        self._x, self._y, self.batch_size, self._rng, self._cuda = x, y, batch_size, rng, cuda

    def __len__(self) -> int:
        n = len(self._y)
        return n // self.batch_size if self._rng is not None else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        import torch

        device = torch.device("cuda" if self._cuda and torch.cuda.is_available() else "cpu")
        order = np.arange(len(self._y)) if self._rng is None else self._rng.permutation(len(self._y))
        for k in range(len(self)):
            rows = order[k * self.batch_size : (k + 1) * self.batch_size]
            x = torch.from_numpy(self._x[rows]).to(device, torch.float32) / 255
            yield x, torch.from_numpy(self._y[rows]).to(device)


class DatasetLoader:
    """Tasks of one data set as lists of loaders.

    Args: name — one of `settings.ALL_DATASETS`; path_override — folder of the data sets (as --data_dir); seed
    — of permutations and of the order of batches.
    """

    def __init__(self, name: str, path_override: str | None = None, seed: int = 0) -> None:
        if name not in ALL_DATASETS:
            raise UsageError(f"data set {name!r}: one of {', '.join(ALL_DATASETS)}")
        self.name, self.path_override, self.seed = name, path_override, seed

    def load_raw_data(self) -> Dataset:
        """Returns images uint8 (n, height, width) with labels.  Raises: DataError if they are missing."""
        return load_images(self.name, Path(self.path_override) if self.path_override else None)

    def preprocess_data(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns images as float32 in [0, 1]."""
        return images.astype(np.float32) / np.float32(255)

    def prepare_domain_incremental_data(
        self,
        task_type: str,
        num_tasks: int,
        batch_size: int,
        quick_test: bool = False,
        use_cuda: bool = False,
    ) -> tuple[list[Batches], list[Batches]]:
        """Returns the training and the test loader of every task (see `streams.build`).

        Raises: UsageError for an unknown task type or number of tasks; DataError if there are too few images.
        """
        made = self._tasks(task_type, num_tasks, batch_size, quick_test)
        rng = np.random.default_rng(self.seed)
        train = [Batches(task.x_train, task.y_train, batch_size, rng, use_cuda) for task in made]
        test = [Batches(task.x_test, task.y_test, batch_size, None, use_cuda) for task in made]
        return train, test

    def _tasks(self, task_type: str, num_tasks: int, batch_size: int, quick: bool) -> list[Task]:
        settings = replace(
            Settings(dataset_name=self.name), task_type=task_type, num_tasks=num_tasks, batch_size=batch_size,
            quick_test_mode=quick, num_epochs=1,
        )  # fmt: skip
        return streams.build(settings, self.load_raw_data(), np.random.default_rng(self.seed))

    def _create_permutation_tasks(self, num_tasks: int, batch_size: int = 10) -> list[Task]:
        return self._tasks("permutation", num_tasks, batch_size, False)

    def _create_rotation_tasks(self, num_tasks: int, batch_size: int = 10) -> list[Task]:
        return self._tasks("rotation", num_tasks, batch_size, False)

    def _create_class_split_tasks(self, num_tasks: int = 5, batch_size: int = 10) -> list[Task]:
        return self._tasks("class_split", num_tasks, batch_size, False)


def load_dataset(name: str, path_override: str | None = None) -> DatasetLoader:
    """Returns the loader of a data set."""
    return DatasetLoader(name, path_override)


def parse(argv: Sequence[str] | None) -> str:
    """Returns the data set that a command line names."""
    parser = Parser(prog="load_dataset.py", description="Download a data set into ./datasets/NAME.")
    parser.add_argument("--dataset", choices=DATASETS, required=True, help="which")
    name: str = parser.parse_args(argv).dataset
    return name


def run(name: str) -> None:
    """Fetch a data set into ./datasets/NAME and remember it in .env."""
    target = make_folder(Path("datasets") / name)
    shutil.copytree(fetch(name), target, dirs_exist_ok=True)
    load_images(name, Path("datasets"))  # what was fetched must be readable
    remember(VARIABLES[name][0], target.resolve())
    print(f"{name}: {target}")


MAIN = Program("load_dataset.py", parse=parse, run=run)
main = MAIN.main


def fetch(name: str) -> Path:
    """Returns the folder that kagglehub downloaded a data set into.

    Raises: DataError if kagglehub is missing or fails.
    """
    try:
        import kagglehub
    except ModuleNotFoundError:
        raise DataError(
            "the download from Kaggle needs kagglehub: pip install kagglehub (cl-repro data get does not)"
        ) from None
    try:
        return Path(kagglehub.dataset_download(KAGGLE[name]))
    except Exception as problem:  # network and account problems come as many kinds
        raise DataError(f"{KAGGLE[name]}: {' '.join(str(problem).split())[:160]}") from None


def remember(variable: str, folder: Path, env: Path = Path(".env")) -> None:
    """Write NAME=folder into the .env file, in the place of an older line for that name."""
    kept = read_regular_text(env, MAX_ENV).splitlines() if env.exists() else []
    lines = [line for line in kept if line.split("=", 1)[0].strip() != variable]
    write_atomically(env, "\n".join([*lines, f"{variable}={folder}", ""]).encode())
    assert read_env(env)[variable] == str(folder)
