"""`TAGemVisualizer` and `Timer`: the original's collectors, for code that used them."""

import time
from pathlib import Path
from typing import Any

from ta_agem_repro.console import times_table
from ta_agem_repro.result import Result


class Timer:
    """Adds up the seconds between start(key) and end(key); str() is a table of them."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self._started: dict[str, float] = {}

    def start(self, key: str) -> None:
        """Begin a block."""
        self._started[key] = time.perf_counter()

    def end(self, key: str) -> float:
        """End a block; returns its seconds.  Raises: KeyError if it was not begun."""
        began = self._started.pop(key)
        spent = time.perf_counter() - began
        self.times.setdefault(key, []).append(spent)
        return spent

    def __str__(self) -> str:
        return times_table(self.times)


class TAGemVisualizer:
    """The figures of a finished run.

    Args: result — from `train.run` or `reader.read`.
    """

    def __init__(self, result: Result) -> None:
        self.result = result

    def figures(self) -> dict[str, Any]:
        """Returns every figure by name (see `figures.build`)."""
        from ta_agem_repro.figures import build

        return build(self.result)

    def save(self, stem: Path) -> list[Path]:
        """Write the three pages of a run beside each other; returns their paths."""
        from ta_agem_repro.figures import write_html

        return write_html(self.result, stem)

    def show(self, name: str) -> None:
        """Open one figure in the browser.  Raises: KeyError for an unknown name."""
        self.figures()[name].show()
