"""Who learns in Stable SGD: the compiled MLP, or a torch module; both with the same methods.

Here the settings end: each argument of a learner comes from the field of its name.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.learner import Learner
from clrepro.seeding import Seeds
from clrepro.settings import keywords
from tag_repro.learning_rate import rate_of_task
from tag_repro.settings import IMAGE_SETS
from tag_repro.stable_sgd.fused_learner import FusedLearner
from tag_repro.stable_sgd.settings import StableSettings
from tag_repro.task_stream import TaskStream


class StableLearner(Learner, Protocol):
    """A learner with what this paper's loop measures of it."""

    rate: float

    def begin_task(self, task: int) -> None:
        """A task begins: take its rate."""

    def begin_epoch(self) -> None:
        """An epoch begins: momentum from zero."""

    def score(self, logits: Any, y: NDArray[np.int64]) -> tuple[int, float]:
        """Returns the number of right answers and the summed cross-entropy of what `predict` returned."""

    def module(self) -> Any:
        """Returns the network as a torch module."""

    def vector(self) -> NDArray[np.float32]:
        """Returns all parameters as one vector."""


def rates(settings: StableSettings) -> Callable[[int], float]:
    """Returns the learning rate of task 0, 1, ... as a function."""
    return partial(rate_of_task, **keywords(rate_of_task, settings))


def make_learner(settings: StableSettings, task_stream: TaskStream, seeds: Seeds) -> StableLearner:
    """Returns the learner of the engine asked for: compiled for the MLP on the CPU, else torch."""
    if settings.engine == "reference" or settings.dataset in IMAGE_SETS or settings.device != "cpu":
        from tag_repro.stable_sgd.torch_learner import TorchLearner

        return TorchLearner(task_stream, seeds, **keywords(TorchLearner, settings, rate=rates(settings)))
    return FusedLearner(task_stream, seeds, **keywords(FusedLearner, settings, rate=rates(settings)))
