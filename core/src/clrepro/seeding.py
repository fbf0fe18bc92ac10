"""One seed, many independent named random generators; adding a consumer never moves another's numbers."""

import hashlib
from typing import Any

import numpy as np


class Seeds:
    """Named random generators derived from one seed.

    Each name has its own `numpy.random.SeedSequence` (spawn key = sha256 of the name), so its numbers depend
    on the seed and the name only, whoever else draws.

    Args: seed — non-negative integer.
    Raises: ValueError for a negative seed.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed {seed}: seeds are 0 or larger")
        self.seed = seed
        self._generators: dict[str, np.random.Generator] = {}

    def _sequence(self, name: str) -> np.random.SeedSequence:
        words = np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4")
        return np.random.SeedSequence(self.seed, spawn_key=tuple(int(word) for word in words))

    def __getitem__(self, name: str) -> np.random.Generator:
        """Returns the generator of that name, as `generator` does."""
        return self.generator(name)

    def generator(self, name: str) -> np.random.Generator:
        """Returns the generator of that name: the same object at every call."""
        if name not in self._generators:
            self._generators[name] = np.random.Generator(np.random.PCG64(self._sequence(name)))
        return self._generators[name]

    def integer(self, name: str) -> int:
        """Returns a fixed integer in [0, 2**31) for that name, to seed a framework's own generator."""
        return int(self._sequence(name).generate_state(1, np.uint32)[0] >> 1)

    def state(self) -> dict[str, Any]:
        """Returns the seed and the state of every generator in use: plain integers and text, fit for JSON."""
        states = {name: generator.bit_generator.state for name, generator in self._generators.items()}
        # PCG64 counts with 128 bits, more than a JSON reader elsewhere may keep: as text.
        return {"seed": self.seed, "streams": {name: _to_text(state) for name, state in states.items()}}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned; generators handed out before stay valid."""
        self.seed = int(state["seed"])
        for name in set(self._generators) - set(state["streams"]):
            self._generators[name].bit_generator.state = np.random.PCG64(self._sequence(name)).state
        for name, saved in state["streams"].items():
            self.generator(name).bit_generator.state = _from_text(saved)


def _to_text(state: Any) -> dict[str, Any]:
    words = {key: str(value) for key, value in state["state"].items()}
    return {"state": words, "has_uint32": int(state["has_uint32"]), "uinteger": int(state["uinteger"])}


def _from_text(saved: Any) -> dict[str, Any]:
    words = {key: int(value) for key, value in saved["state"].items()}
    return {"bit_generator": "PCG64", **saved, "state": words}
