"""Avalanche's A-GEM on the same network and batches, for the bench alone; nothing else imports it."""

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ta_agem_repro.networks import Layers, network

STEPS = 200


def available() -> bool:
    """Whether Avalanche is installed (`pip install avalanche-lib torchvision`; it is in no extra)."""
    return all(importlib.util.find_spec(name) for name in ("avalanche", "torchvision"))


def steps(layers: Layers, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Callable[[], int]:
    """Returns a function that trains on 2,000 images in batches of 10, with a reference batch of 10 each, and
    returns the number of steps.  The memory, 300 samples of the 2,000 before, is filled here.
    """
    warnings.simplefilter("ignore")  # of the libraries it brings
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import AvalancheDataset
    from avalanche.benchmarks.utils.data_attribute import DataAttribute
    from avalanche.training.plugins import AGEMPlugin
    from avalanche.training.supervised import AGEM

    def experience(first: int) -> AvalancheDataset:
        part = slice(first, first + 10 * STEPS)
        x = torch.from_numpy(images[part]).float() / 255
        y = torch.from_numpy(labels[part]).long()
        attributes = [
            DataAttribute(y, "targets"),
            DataAttribute(torch.zeros_like(y), "targets_task_labels", use_in_getitem=True),
        ]
        return AvalancheDataset(torch.utils.data.TensorDataset(x, y), data_attributes=attributes)

    stream = benchmark_from_datasets(train=[experience(0), experience(2000)]).train_stream
    model = network(layers)
    strategy = AGEM(
        model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.001), criterion=nn.CrossEntropyLoss(),
        patterns_per_exp=300, sample_size=10, train_mb_size=10, train_epochs=1, evaluator=None,
    )  # fmt: skip
    strategy.train(stream[0], num_workers=0)
    for plugin in strategy.plugins:
        if isinstance(plugin, AGEMPlugin):  # what follows is timed again and again: not to be remembered
            plugin.update_memory = lambda *_, **__: None

    def work() -> int:
        strategy.train(stream[1], num_workers=0)
        return STEPS

    return work
