"""What a learning method is to a training loop, whatever framework it is written in."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Learner(Protocol):
    """Learns a stream of tasks batch by batch and predicts at any time.

    Arrays are numpy's or those of the learner's framework; which, its class says.  A method that must know
    when a task begins or ends has `begin_task(task)` or `end_task(task)` as well (those functions
    below call them where they are); one that computes faster another way may offer that beside these.
    """

    def observe(self, x: Any, y: Any, task: int) -> Any:
        """Learn a batch of one task: x (b, ...), y int64 (b,); task counts from 0."""

    def predict(self, x: Any, task: int) -> Any:
        """Returns logits (n, n_classes) of x (n, ...), examples of a task."""

    def state(self) -> dict[str, Any]:
        """Returns all that an exact continuation needs: plain values and arrays."""

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""


def begin_task(learner: Any, task: int) -> None:
    """Tell a learner that a task begins, if it wants to know."""
    if hasattr(learner, "begin_task"):
        learner.begin_task(task)


def end_task(learner: Any, task: int) -> None:
    """Tell a learner that a task has ended, if it wants to know."""
    if hasattr(learner, "end_task"):
        learner.end_task(task)
