"""VAN: nothing but the present batch's loss; also what the other methods build on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.adapters import tf as adapter
from tag_repro.batches import Images, Labels, one_by_one
from tag_repro.task_stream import TaskStream
from tag_repro.tensorflow.losses import loss_and_gradients, mean_loss
from tag_repro.tensorflow.optimizers import Optimizer

Losses = NDArray[np.float32]


class VAN:
    """Naive SGD.

    A `clrepro.learner.Learner` on arrays: images uint8 (n, inputs), labels numbered over all tasks.
    Args: network — see `tag_repro.tensorflow.networks`; rng — draws from the memory, if the method has one;
        optim — see `tag_repro.tensorflow.optimizers`; compat — "original": units are dropped in
        `predict` too.
    """

    def __init__(
        self, network: Any, task_stream: TaskStream, rng: np.random.Generator, *, optim: str = "SGD",
        compat: str = "corrected",
    ) -> None:  # fmt: skip
        self.network, self.task_stream, self.rng = network, task_stream, rng
        self.as_published = compat == "original"
        self.optimizer = Optimizer(optim, network.weights)
        self.compiled: dict[str, Any] = {}
        self._plain = self.compile("plain", self.plain_step, batches=1)
        images = [tf.TensorSpec([None, task_stream.stream.n_inputs], tf.uint8)]
        self._logits = tf.function(self._forward, input_signature=images, autograph=False)
        self.compiled["predict"] = self._logits

    def _forward(self, x: Any) -> Any:
        return self.network(x, training=False, dropping=self.as_published)

    def compile(self, name: str, step: Callable[..., Any], *, batches: int) -> Any:
        """Returns a compiled loop over steps; `step` takes images and labels of so many batches.

        The loop takes each of them with an axis of steps in front, of any sizes, and returns what the steps
        return, (steps,).  One signature for all sizes and tasks: it is traced once for a whole run.
        """
        batch = (
            tf.TensorSpec([None, None, self.task_stream.stream.n_inputs], tf.uint8),
            tf.TensorSpec([None, None], tf.int64),
        )

        def loop(*parts: Any) -> Any:
            one_at_a_time = {"fn_output_signature": tf.float32, "parallel_iterations": 1}
            return tf.map_fn(lambda own: step(*own), parts, **one_at_a_time)

        self.compiled[name] = tf.function(loop, input_signature=batch * batches, autograph=False)
        return self.compiled[name]

    def gradients(self, x: Any, y: Any) -> tuple[Any, list[Any]]:
        """Returns the loss on a batch and its gradients, units dropped as in training."""

        def loss() -> Any:
            logits = self.network(x, training=True, dropping=True)
            return mean_loss(logits, y, self.task_stream.classes_per_task)

        return loss_and_gradients(loss, self.network.weights)

    def plain_step(self, x: Any, y: Any) -> Any:
        """One step on a batch; returns its loss."""
        loss, gradients = self.gradients(x, y)
        self.optimizer.apply(gradients)
        return loss

    def observe(self, x: Images, y: Labels, task: int) -> Losses:
        """Learn a batch x (n, inputs), y (n,) of a task, or several one after the other: x (steps, n,
        inputs), y (steps, n); returns the loss before each step, (steps,).
        """
        return np.asarray(self._plain(*one_by_one(x, y)))

    def predict(self, x: Images, task: int) -> NDArray[np.float32]:
        """Returns logits (n, classes per task) of images of a task, over its own outputs."""
        return np.asarray(self._logits(x)[:, slice(*self.task_stream.outputs(task))])

    def end_task(self, task: int) -> None:
        """A task is over."""
        self.optimizer.restart()

    def variables(self) -> list[Any]:
        """The TensorFlow variables that a checkpoint keeps."""
        slots = [slot for slots in self.optimizer.slots for slot in slots]
        return [*self.network.weights, *self.network.statistics, *slots, *self.optimizer.powers]

    def state(self) -> dict[str, Any]:
        """Returns what the rest of a run depends on, at the end of a task."""
        return {"variables": adapter.values(self.variables()), **self.memory_state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        adapter.assign(self.variables(), state["variables"])
        self.load_memory(state)

    def memory_state(self) -> dict[str, Any]:
        """Returns what is remembered outside of TensorFlow."""
        return {}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""
