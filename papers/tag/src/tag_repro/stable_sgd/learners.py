"""Who learns in Stable SGD: the compiled MLP, or a torch module; both with the same methods."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from tag_repro.settings import IMAGE_SETS, StableSettings
from tag_repro.stable_sgd.batches import Images, Labels
from tag_repro.stable_sgd.fused_learner import FusedLearner
from tag_repro.task_stream import TaskStream


class Learner(Protocol):
    """What the loop asks of a learner; images are uint8 (n, inputs), `outputs` the range that takes part."""

    def epoch(self, x: Images, y: Labels, order: Labels, rate: float, outputs: tuple[int, int]) -> float:
        """Train on all images in the given order, momentum from zero; returns the mean loss."""

    def evaluate(self, x: Images, y: Labels, outputs: tuple[int, int]) -> tuple[float, float]:
        """Returns accuracy as a fraction, and the mean cross-entropy per image."""

    def module(self) -> Any:
        """Returns the network as a torch module."""

    def vector(self) -> NDArray[np.float32]:
        """Returns all parameters as one vector."""

    def state(self) -> dict[str, Any]:
        """Returns what the learner is made of between two epochs."""

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""


def make_learner(settings: StableSettings, task_stream: TaskStream, seeds: Seeds) -> Learner:
    """Returns the learner of the engine asked for: compiled for the MLP on the CPU, else torch."""
    if settings.engine == "reference" or settings.dataset in IMAGE_SETS or settings.device != "cpu":
        from tag_repro.stable_sgd.torch_learner import TorchLearner

        return TorchLearner(settings, task_stream, seeds)
    return FusedLearner(settings, task_stream, seeds)
