"""Named random generators of numpy and torch, all from one seed, whose state a checkpoint can hold."""

from typing import Any

import numpy as np
import torch

from clrepro.adapters.torch import generator_state, load_generator_state
from clrepro.seeding import Seeds


class Rngs:
    """One seed, many generators: `numpy(name)` and `generator(name)` are the same object at every call.

    Args: seed — 0 or larger; device — where torch's numbers are drawn.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seeds = Seeds(seed)
        self.device = device
        self._torch: dict[str, torch.Generator] = {}

    def numpy(self, name: str) -> np.random.Generator:
        """Returns the numpy generator of that name."""
        return self.seeds.generator(name)

    def generator(self, name: str) -> torch.Generator:
        """Returns the torch generator of that name, on the device."""
        if name not in self._torch:
            self._torch[name] = torch.Generator(self.device).manual_seed(self.seeds.integer(name))
        return self._torch[name]

    def normal(self, name: str, *shape: int) -> torch.Tensor:
        """Returns standard normal numbers float32 (*shape) from that generator."""
        return torch.randn(shape, generator=self.generator(name), device=self.device)

    def uniform(self, name: str, *shape: int) -> torch.Tensor:
        """Returns numbers float32 (*shape), uniform in [0, 1), from that generator."""
        return torch.rand(shape, generator=self.generator(name), device=self.device)

    def state(self) -> dict[str, Any]:
        """Returns where every generator is."""
        streams = {name: generator_state(one) for name, one in self._torch.items()}
        return {"numpy": self.seeds.state(), "torch": streams}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.seeds.load(state["numpy"])
        for name, saved in state["torch"].items():
            load_generator_state(self.generator(name), saved)
