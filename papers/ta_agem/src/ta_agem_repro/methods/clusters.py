"""TA-A-GEM: A-GEM with a memory of online clusters."""

from typing import Any

import numpy as np

from ta_agem_repro.memory import ClusteringMemory
from ta_agem_repro.methods.agem import AGEM


class TAAGEM(AGEM):
    """A pool of clusters per class.

    Args: engine, draw_rng and the rest — see `agem.AGEM`; memory_rng — of the memory's own draws;
        memory_size_q — clusters per pool (Q); memory_size_p — samples per cluster (P); num_pools — labels;
        removal_function, add_remove_randomly, policy — see `memory.ClusterPool`; at_random — samples join
        and leave at random, whatever add_remove_randomly says.
    """

    def __init__(
        self, engine: Any, memory_rng: np.random.Generator, draw_rng: np.random.Generator, *,
        memory_size_q: int = 10, memory_size_p: int = 3, num_pools: int = 10,
        removal_function: str = "remove_oldest", add_remove_randomly: bool = False, policy: str = "main",
        at_random: bool = False, **more: Any,
    ) -> None:  # fmt: skip
        memory = ClusteringMemory(
            memory_size_q, memory_size_p, num_pools=num_pools, policy=policy, removal=removal_function,
            add_remove_randomly=add_remove_randomly or at_random, rng=memory_rng,
        )  # fmt: skip
        super().__init__(engine, memory, draw_rng, **more)
