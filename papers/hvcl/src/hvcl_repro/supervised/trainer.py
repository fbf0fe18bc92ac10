"""One step of training, the same for all methods: the loss of the data and of the layers, and its Adam."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from hvcl_repro.supervised.networks import Classifier, adam
from hvcl_repro.supervised.replay import GenerativeReplay

Tensor = Any
Variant = tuple[Hashable, ...]


@dataclass(frozen=True)
class Step:
    """What a step found before it moves anything.

    gradients — one per weight of the network; loss — what they are of; entropy — cross-entropy on the new
    images alone, both scalars.
    """

    gradients: list[Tensor]
    loss: Tensor
    entropy: Tensor

    def told(self) -> Tensor:
        """Returns the cross-entropy; nan where the loss is not finite."""
        # ReLU turns nan into 0, so weights that are lost show in the terms of the loss alone.
        return tf.where(tf.math.is_finite(self.loss), self.entropy, self.loss - self.loss)


class Trainer:
    """A classifier and its Adam.

    Args: net; lr; replay — where old tasks' images come from, or None.  With them Adam's moments are kept
    from task to task, as the stream of images has no seam; otherwise each task begins with fresh ones.
    """

    def __init__(self, net: Classifier, lr: float, replay: GenerativeReplay | None = None) -> None:
        self.net, self.replay = net, replay
        self.mixes = replay is not None and replay.replays
        self.adam = adam(lr, net.weights)

    def begin_task(self, task: int, n_train: int) -> None:
        """Before a task of n_train images."""
        if not self.mixes:
            for v in self.adam.variables():
                v.assign(tf.zeros_like(v))
        if self.replay is not None:
            self.replay.begin_task(task, n_train)

    def step(
        self, x: Tensor, y: Tensor, task: int, change: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> Step:
        """Returns what one batch says, and lets the auto-encoder learn it.

        Args: x (B, inputs) in [0, 1]; y (B,); change — (loss, logits of x) to the loss that is followed.
        """
        replayed = self.replay.draw(tf.shape(x)[0]) if self.replay is not None and self.mixing(task) else None
        with tf.GradientTape() as tape:
            logits, entropy, loss = self._data(x, y, replayed, task)
            terms = self.net.losses(task, every=self.mixing(task))
            if terms:
                loss += tf.add_n(terms)
            if change is not None:
                loss = change(loss, logits)
        gradients = tape.gradient(loss, self.net.weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        if self.replay is not None:
            self.replay.learn(x, replayed)
        return Step(gradients, loss, entropy)

    def mixing(self, task: int) -> bool:
        """Returns whether old tasks' images are mixed in: from the second task on."""
        return self.mixes and task > 0

    def _data(self, x: Tensor, y: Tensor, replayed: Tensor | None, task: int) -> tuple[Tensor, ...]:
        """Returns logits of x, their cross-entropy, and the loss of new and replayed images."""
        if self.replay is None or replayed is None:
            logits = self.net(x, task, training=True)
            entropy = _entropy(y, logits)
            return logits, entropy, entropy
        n = tf.shape(x)[0]
        # One call for both, so that the layers' terms are counted once and see both.
        logits, kept = self.replay.answers(self.net, tf.concat([x, replayed], axis=0), n, task)
        entropy, new = _entropy(y, logits), self.replay.share
        return logits, entropy, new * entropy + (1.0 - new) * kept

    def apply(self, gradients: list[Tensor]) -> None:
        """Move the weights.  Args: gradients — one per weight."""
        self.adam.apply_gradients(zip(gradients, self.net.weights, strict=True))

    def end_task(self) -> None:
        """After a task: what is now known is what is replayed."""
        if self.replay is not None:
            self.replay.end_task(self.net)

    def variant(self, task: int) -> Variant:
        """Returns what decides the graph of a step; 1/t is a variable and does not."""
        first: Variant = (self.net.head(task), task > 0 if self.mixes else None)
        return first + (self.replay.variant() if self.replay is not None else ())

    def rngs(self) -> list[Any]:
        """Returns the variables of all random generators."""
        return self.net.rngs() + (self.replay.rngs() if self.replay is not None else [])

    def state(self) -> dict[str, Any]:
        """Returns weights, states of the random generators and, where kept, Adam's moments."""
        return {
            "net": self.net.get_weights(), "rngs": [_unsigned(v) for v in self.rngs()],
            "adam": [v.numpy() for v in self.adam.variables()] if self.mixes else [],
            "replay": self.replay.state() if self.replay is not None else {},
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.net.set_weights(state["net"])
        if self.replay is not None:
            self.replay.load(state["replay"])
        for variable, saved in zip(self.rngs(), state["rngs"], strict=True):
            variable.assign(saved.view(np.int64))
        for variable, saved in zip(self.adam.variables() if self.mixes else [], state["adam"], strict=True):
            variable.assign(saved)


def _entropy(y: Tensor, logits: Tensor) -> Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


def _unsigned(variable: Any) -> Any:
    return np.asarray(variable).view(np.uint64)
