"""What a learning method is to a training loop, whatever framework it is written in."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Learner(Protocol):
    """Learns a stream of tasks batch by batch and predicts at any time.

    Arrays are numpy's or those of the learner's framework; which, its class says.  A method may offer more
    beside these: what it must know when a task begins or ends, or a faster way to compute.
    """

    def observe(self, x: Any, y: Any, task: int) -> Any:
        """Learn a batch of one task: x (b, ...), y int64 (b,); task counts from 0."""

    def predict(self, x: Any, task: int) -> Any:
        """Returns logits (n, n_classes) of x (n, ...), examples of a task."""

    def state(self) -> dict[str, Any]:
        """Returns all that an exact continuation needs: plain values and arrays."""

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
