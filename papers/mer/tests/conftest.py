"""Small task files for the tests: real digits, few of them."""

import numpy as np
import pytest

from clrepro.datasets import load
from mer_repro.get_data import task_maps
from mer_repro.streams import save_dense, save_lazy

N_TASKS, N_TRAIN, N_TEST = 3, 200, 101


@pytest.fixture(scope="session")
def task_files(tmp_path_factory):
    """A folder with lazy.pt and dense.pt: the same three rotations in both layouts."""
    folder = tmp_path_factory.mktemp("tasks")
    digits = load("mnist_quick")
    arrays = {
        "x_train": digits.x_train[:N_TRAIN].reshape(N_TRAIN, -1), "y_train": digits.y_train[:N_TRAIN],
        "x_test": digits.x_test[:N_TEST].reshape(N_TEST, -1), "y_test": digits.y_test[:N_TEST],
    }  # fmt: skip
    descriptors, maps = task_maps("rotations", N_TASKS, seed=1)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_lazy("rotations", "mnist_quick", descriptors, maps, arrays, folder / "lazy.pt")
    save_dense(descriptors, maps, arrays, folder / "dense.pt")
    return folder
