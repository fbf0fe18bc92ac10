"""When which task is trained: the epochs of a run in order, some of them shared by two tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clrepro.errors import UsageError

ORDERS = ("sequential", "half and half", "random", "continuous")
Epochs = int | Sequence[int] | Mapping[int, int]


@dataclass(frozen=True)
class Epoch:
    """One pass: over `task` alone, or, with mix_with, over both; share_next — (i, n): i/n of a batch comes
    from mix_with.
    """

    task: int
    mix_with: int | None = None
    share_next: tuple[int, int] = (0, 1)


def sequential(n_tasks: int, epochs: Epochs) -> list[Epoch]:
    """Returns all epochs of task 0, then all of task 1, and so on."""
    return [Epoch(task) for task, n in enumerate(per_task(n_tasks, epochs)) for _ in range(n)]


def half_and_half(n_tasks: int, epochs: Epochs) -> list[Epoch]:
    """Returns the first half of every task's epochs (the larger of uneven halves), then the second halves."""
    each = per_task(n_tasks, epochs)
    first = [Epoch(task) for task, n in enumerate(each) for _ in range(n - n // 2)]
    return first + [Epoch(task) for task, n in enumerate(each) for _ in range(n // 2)]


def random_order(n_tasks: int, epochs: Epochs, rng: np.random.Generator) -> list[Epoch]:
    """Returns the epochs of `sequential` in a uniformly random order."""
    epochs_in_order = sequential(n_tasks, epochs)
    return [epochs_in_order[place] for place in rng.permutation(len(epochs_in_order))]


def continuous(n_tasks: int, epochs: int, n_transition: int) -> list[Epoch]:
    """Returns for each task epochs - n + 1 pure epochs, then n - 1 mixed ones that lead over to the next
    task, the i-th with i/n of each batch from there; the last task leads back to task 0.

    Args: n_transition — n, 1 (no mixed epochs) to epochs.
    Source: appendix F.5 of Lamers et al. 2023 as its public re-implementation reads it.
    """
    if not 1 <= n_transition <= epochs:
        raise UsageError(f"transition of {n_transition} epochs: 1 to the {epochs} epochs of a task")
    out = []
    for task in range(n_tasks):
        out += [Epoch(task)] * (epochs - n_transition + 1)
        following = (task + 1) % n_tasks
        out += [Epoch(task, following, (i, n_transition)) for i in range(1, n_transition)]
    return out


def schedule(
    name: str,
    n_tasks: int,
    epochs: Epochs,
    *,
    n_transition: int | None = None,
    rng: np.random.Generator | None = None,
) -> list[Epoch]:
    """Returns the epochs of the order of that name (one of `ORDERS`).

    Args: n_transition — of "continuous"; rng — of "random".
    Raises: UsageError for an unknown name, or where the order lacks what it needs.
    """
    if name == "sequential":
        return sequential(n_tasks, epochs)
    if name == "half and half":
        return half_and_half(n_tasks, epochs)
    if name == "random" and rng is not None:
        return random_order(n_tasks, epochs, rng)
    if name == "continuous" and n_transition is not None and isinstance(epochs, int):
        return continuous(n_tasks, epochs, n_transition)
    if name in ORDERS:
        needs = "a generator" if name == "random" else "one number of epochs, and that of the transition"
        raise UsageError(f"task order {name!r} needs {needs}")
    raise UsageError(f"task order {name!r}: one of {', '.join(ORDERS)}")


def counts(epoch: Epoch, batch_size: int) -> tuple[int, int]:
    """Returns how many of a batch come from `task` and from `mix_with`: the part of `task` is rounded up.

    In whole numbers: ceil((1 - 7/10) * 10) is 4 in floating point.
    """
    i, n = epoch.share_next
    from_next = (i * batch_size) // n
    return batch_size - from_next, from_next


def seen(epochs: Sequence[Epoch]) -> list[list[int]]:
    """Returns for each epoch the tasks that had a part in it or in one before, in the order first seen."""
    out: list[list[int]] = []
    known: dict[int, None] = {}
    for epoch in epochs:
        known |= dict.fromkeys(t for t in (epoch.task, epoch.mix_with) if t is not None)
        out.append(list(known))
    return out


def per_task(n_tasks: int, epochs: Epochs) -> list[int]:
    """Returns the epochs of each task, from one number for all, one each, or {task: number}.

    Raises: UsageError if tasks are missing or too many, or a number is below 1.
    """
    if isinstance(epochs, int):
        given = [epochs] * n_tasks
    elif isinstance(epochs, Mapping):
        if set(epochs) != set(range(n_tasks)):
            raise UsageError(f"epochs for the tasks {sorted(epochs)}: exactly 0 to {n_tasks - 1}")
        given = [epochs[task] for task in range(n_tasks)]
    else:
        given = list(epochs)
    if len(given) != n_tasks or min(given, default=0) < 1:
        raise UsageError(f"epochs {epochs}: one number, or one for each of {n_tasks} tasks, each 1 or more")
    return given
