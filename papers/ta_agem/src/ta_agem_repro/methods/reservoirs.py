"""The baseline: A-GEM with a reservoir per class, of the size that a pool of clusters has."""

from typing import Any

import numpy as np

from ta_agem_repro.memory import ClassReservoirs
from ta_agem_repro.methods.agem import AGEM


class ReservoirAGEM(AGEM):
    """Args: see `clusters.TAAGEM`."""

    def __init__(
        self, engine: Any, memory_rng: np.random.Generator, draw_rng: np.random.Generator, *,
        memory_size_q: int = 10, memory_size_p: int = 3, num_pools: int = 10, **more: Any,
    ) -> None:  # fmt: skip
        memory = ClassReservoirs(memory_size_q, memory_size_p, num_pools, memory_rng)
        super().__init__(engine, memory, draw_rng, **more)
