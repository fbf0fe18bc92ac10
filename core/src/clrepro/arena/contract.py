"""How a method is called, and the rules it must keep: one line of ours for each that is broken.

    class Mine:
        SPACE = {"lr": (0.01, 0.3, "log")}             # optional: what may be tuned
        def __init__(self, spec, *, seed, lr=0.1): ...
        def observe(self, x, y): ...                   # x float32 (b, inputs) in [0, 1], y int64 (b,)
        def predict(self, x): ...                      # returns scores (n, n_classes)
        def end_task(self): ...                        # optional: told when a task is over
        def state(self): ...                           # optional, with restore(state): what a copy needs
        def memory_bytes(self): ...                    # optional: what it keeps, parameters included

`observe` and `predict` get the task's number as a third and second argument if they have one called `task`.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.arena.spec import Spec
from clrepro.errors import UsageError

NEEDED = ("observe", "predict")


class RuleBroken(ValueError):
    """A method does not keep a rule of the arena; the text is one line that names the rule."""


def takes_task(function: Any) -> bool:
    """Whether a function has an argument called `task`."""
    return "task" in inspect.signature(function).parameters


def told(kind: Any) -> str:
    """Returns what a class is told of tasks, in words: "", "ends", "task" or "task, also at test"."""
    if takes_task(kind.predict):
        return "task, also at test"
    return "task" if takes_task(kind.observe) else "ends" if hasattr(kind, "end_task") else ""


def check_class(kind: Any, name: str) -> None:
    """See that a class has what every method needs.  Raises: UsageError in one line."""
    for function in NEEDED:
        if not callable(getattr(kind, function, None)):
            raise UsageError(f"{name} has no {function}(); a method has {' and '.join(NEEDED)}")
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        raise UsageError(f"{name} is no class; a method is one, see: cl-repro compare new") from None
    kinds = [one.kind for one in parameters.values()]
    if "seed" not in parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise UsageError(f"{name}: __init__(spec, *, seed, ...) is the rule; it takes no seed")


class Contestant:
    """A method as the loop calls it: what it returns is checked, what it is not told is not passed.

    Args: kind — its class; options — its own arguments.
    Raises: RuleBroken where it breaks a rule; whatever the method itself raises.
    """

    def __init__(
        self, kind: Any, spec: Spec, seed: int, options: Mapping[str, Any] | None = None, name: str = ""
    ) -> None:
        self.name, self.spec = name or kind.__name__, spec
        self.method = kind(spec, seed=seed, **dict(options or {}))
        self._observe_task, self._predict_task = takes_task(kind.observe), takes_task(kind.predict)

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Hand over a batch: x (b, inputs), y (b,)."""
        if self._observe_task:
            self.method.observe(x, y, task)
        else:
            self.method.observe(x, y)

    def predict(self, x: NDArray[np.float32], task: int) -> NDArray[np.float64]:
        """Returns scores (n, n_classes) of x (n, inputs).  Raises: FloatingPointError if one is no number."""
        answer = self.method.predict(x, task) if self._predict_task else self.method.predict(x)
        wanted = (len(x), self.spec.n_classes)
        try:
            detached = answer.detach().cpu() if hasattr(answer, "detach") else answer
            scores = np.asarray(detached, np.float64)
        except (TypeError, ValueError):
            raise RuleBroken(f"{self.name}.predict returned {_what(answer)}; {_rule(wanted)}") from None
        if scores.shape != wanted:
            raise RuleBroken(f"{self.name}.predict returned {_what(answer)}; {_rule(wanted)}")
        if not np.isfinite(scores).all():
            raise FloatingPointError(f"{self.name}.predict returned NaN or infinite scores; it has diverged")
        return scores

    def end_task(self) -> None:
        """Tell it that a task is over, if it wants to know."""
        if hasattr(self.method, "end_task"):
            self.method.end_task()

    @property
    def can_restore(self) -> bool:
        """Whether it can be saved and restored."""
        return hasattr(self.method, "state") and hasattr(self.method, "restore")

    def memory_bytes(self) -> float:
        """Returns the bytes it says that it keeps, those of its state's arrays, or nan if it says neither."""
        if hasattr(self.method, "memory_bytes"):
            return float(self.method.memory_bytes())
        return float(array_bytes(self.method.state())) if hasattr(self.method, "state") else float("nan")


def array_bytes(value: Any) -> int:
    """Returns the bytes of all arrays within nested dicts, lists and tuples."""
    if isinstance(value, Mapping):
        return sum(map(array_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(array_bytes, value))
    return int(value.nbytes) if hasattr(value, "nbytes") else 0


def _what(answer: Any) -> str:
    shape = getattr(answer, "shape", None)
    return type(answer).__name__ if shape is None else f"an array {tuple(shape)}"


def _rule(wanted: tuple[int, int]) -> str:
    return f"the rule: scores {wanted}, one number per example and class"
