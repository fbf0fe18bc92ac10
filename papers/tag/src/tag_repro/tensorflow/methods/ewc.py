"""Elastic weight consolidation, online: a pull to the last task's weights, on each as much as it matters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tag_repro.batches import Images, Labels, one_by_one
from tag_repro.tensorflow.methods.van import VAN, Losses


class EWC(VAN):
    """loss + lambda sum_i F*_i (w_i - w*_i)^2, w* the weights at the end of the last task.

    A running F <- (1 - e) F + (e / K) sum of the squared batch gradients of the last K steps, every K steps;
    at the end of a task F* = F brought to [0, 1] over all weights together.  A task of fewer than K steps
    counts those it has, else it would leave no trace.
    Args: synap_stgth — lambda; fisher_ema_decay — e; fisher_update_after — K.
    Source: online EWC as in Chaudhry et al. 2018; spec 5.5.
    """

    def __init__(
        self, *args: Any, synap_stgth: float = 10.0, fisher_ema_decay: float = 0.9,
        fisher_update_after: int = 10, **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **more)
        self.synap_stgth, self.fisher_ema_decay = synap_stgth, fisher_ema_decay
        self.fisher_update_after = fisher_update_after
        weights = self.network.weights
        self.squares, self.running, self.fisher = (
            [tf.Variable(tf.zeros_like(w)) for w in weights] for _ in range(3)
        )
        self.anchor = [tf.Variable(w) for w in weights]
        self.steps = self.updates = 0  # of the present task: steps since the last update, updates
        self._consolidated = self.compile("consolidated", self.consolidated_step, batches=1)
        steps = tf.TensorSpec([], tf.float32)
        self._update = tf.function(self.update_step, input_signature=[steps], autograph=False)
        self.compiled["update"] = self._update

    def consolidated_step(self, x: Any, y: Any) -> Any:
        """One step on a batch with the pull; returns its cross-entropy."""
        loss, gradients = self.gradients(x, y)
        for total, g in zip(self.squares, gradients, strict=True):
            total.assign_add(g**2)
        pull = penalty_gradients(self.network.weights, self.anchor, self.fisher, self.synap_stgth)
        self.optimizer.apply([g + p for g, p in zip(gradients, pull, strict=True)])
        return loss

    def update_step(self, steps: Any) -> None:
        """Move the running Fisher information by the squares of so many steps."""
        e = self.fisher_ema_decay
        for running, total in zip(self.running, self.squares, strict=True):
            running.assign((1 - e) * running + e / steps * total)
            total.assign(tf.zeros_like(total))

    def observe(self, x: Images, y: Labels, task: int) -> Losses:
        """Learn from batches of a task; returns their losses without the penalty."""
        losses: list[Losses] = []
        x, y = one_by_one(x, y)
        while len(y):
            n = self.fisher_update_after - self.steps  # up to the next update
            losses.append(np.asarray(self._consolidated(x[:n], y[:n])))
            self.steps += len(y[:n])
            if self.steps == self.fisher_update_after:
                self._count_in()
            x, y = x[n:], y[n:]
        return np.concatenate(losses)

    def _count_in(self) -> None:
        self._update(tf.constant(self.steps, tf.float32))
        self.steps, self.updates = 0, self.updates + 1

    def end_task(self, task: int) -> None:
        """Fix the Fisher information and the anchor for the tasks to come."""
        super().end_task(task)
        if self.steps and not self.updates:
            self._count_in()
        for total in self.squares:
            total.assign(tf.zeros_like(total))
        self.steps = self.updates = 0
        for fisher, found in zip(self.fisher, normalised(self.running), strict=True):
            fisher.assign(found)
        for anchor, weight in zip(self.anchor, self.network.weights, strict=True):
            anchor.assign(weight)

    def variables(self) -> list[Any]:
        """The TensorFlow variables that a checkpoint keeps."""
        return [*super().variables(), *self.running, *self.fisher, *self.anchor]


def penalty_gradients(
    weights: Sequence[Any], anchor: Sequence[Any], fisher: Sequence[Any], strength: float
) -> list[Any]:
    """Returns 2 lambda F (w - w*) for every weight."""
    return [2 * strength * f * (w - a) for w, a, f in zip(weights, anchor, fisher, strict=True)]


def normalised(fisher: Sequence[Any]) -> list[Any]:
    """Returns tensors whose entries together run from 0 to 1; zeros if all are equal."""
    low = tf.reduce_min(tf.stack([tf.reduce_min(f) for f in fisher]))
    high = tf.reduce_max(tf.stack([tf.reduce_max(f) for f in fisher]))
    return [tf.math.divide_no_nan(f - low, high - low) for f in fisher]
