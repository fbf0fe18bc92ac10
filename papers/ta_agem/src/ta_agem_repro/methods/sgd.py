"""SGD: nothing is remembered, so no step is ever projected."""

from typing import Any

import numpy as np

from ta_agem_repro.methods.agem import AGEM


class SGD(AGEM):
    """The plain step.

    Args: memory_rng — not used.
    """

    def __init__(
        self, engine: Any, memory_rng: np.random.Generator, draw_rng: np.random.Generator, **more: Any
    ) -> None:
        super().__init__(engine, None, draw_rng, **more)
