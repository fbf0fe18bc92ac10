"""What a method is told before the first example comes, and the version of the arena's protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

# Raised by whatever changes a number: the draws, the loop, the network, what is measured.  Records of
# another version are refused.
PROTOCOL = 1
HIDDEN = (100, 100)
# What a method's SPACE is: option to the values to choose from, or (low, high, "log") for a range.
Space = Mapping[str, tuple[float | str, ...]]


@dataclass(frozen=True)
class Spec:
    """The task of a method: network, budget and what will come.

    Args: n_inputs — numbers of an example x, each in [0, 1]; n_classes — labels y are below it; n_tasks;
        examples_per_task; memory — examples of old tasks that a method may keep; shape — of one image
        (height, width); hidden — units of the network's hidden layers, the same for all methods; epochs —
        passes over each task's examples; batch_size — examples handed over at once; scenario — "domain": the
        same classes in every task, "task": at test the task is known, and answers are compared among its
        classes alone, "class": it is not; classes — of each task.
    """

    n_inputs: int
    n_classes: int
    n_tasks: int
    examples_per_task: int
    memory: int
    shape: tuple[int, ...]
    classes: tuple[tuple[int, ...], ...]
    scenario: str = "domain"
    hidden: tuple[int, ...] = HIDDEN
    epochs: int = 1
    batch_size: int = 10

    @property
    def memory_per_task(self) -> int:
        """Examples of each task where the memory is shared out equally, at least 1."""
        return max(1, self.memory // self.n_tasks)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Layer sizes of the network, inputs first."""
        return (self.n_inputs, *self.hidden, self.n_classes)
