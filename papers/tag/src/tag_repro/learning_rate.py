"""Stable SGD's learning rate, which falls from task to task."""

LOWEST_RATE = 5e-5


def rate_of_task(
    task: int, *, lr: float, gamma: float, decay_start: int = 1, lr_floor: float = LOWEST_RATE
) -> float:
    """Returns the rate of task 0, 1, ...: lr · gamma^(task + decay_start), at least lr_floor.

    Source: Stable SGD's code, where the first task's rate is already decayed once.
    """
    return max(lr * gamma ** (task + decay_start), lr_floor)
