"""The run's generators.  All start from `--seed` and none is a global generator.

The original seeds three global generators once and consumes them in a fixed order (contract 2.3).  `torch`
and `python` here are private generators that yield the same numbers as those; `fast` serves the engine's
default sampler.
"""

import random
from typing import Any

from clrepro.adapters.torch import generator, generator_state, load_generator_state
from clrepro.seeding import Seeds


class Rngs:
    """torch: task order, subsets and initial weights; python: epoch shuffles and legacy draws; fast: replay
    draws.
    """

    def __init__(self, seed: int) -> None:
        self.torch = generator(seed)
        self.python = random.Random(seed)
        self.fast = Seeds(seed)

    def state(self) -> dict[str, Any]:
        """Returns all generator states, without pickles."""
        version, words, gauss = self.python.getstate()
        return {
            "torch": generator_state(self.torch),
            "python": {"version": version, "words": list(words), "gauss": gauss},
            "fast": self.fast.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        load_generator_state(self.torch, state["torch"])
        python = state["python"]
        self.python.setstate((python["version"], tuple(python["words"]), python["gauss"]))
        self.fast.load(state["fast"])
