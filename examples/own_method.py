"""A method of your own for the arena: cl-repro compare --method examples/own_method.py:ClassMeans"""

import numpy as np


class ClassMeans:
    """The nearest class mean on random features: nothing is ever overwritten, so nothing is forgotten."""

    SPACE = {"n_features": (200, 500, 1000)}  # noqa: RUF012 (what `compare tune` may choose from)

    def __init__(self, spec, *, seed, n_features=500):
        rng = np.random.default_rng(seed)  # every random number comes from the seed
        self.w = rng.normal(size=(spec.n_inputs, n_features)) / np.sqrt(spec.n_inputs)
        self.sums, self.counts = np.zeros((spec.n_classes, n_features)), np.zeros(spec.n_classes)

    def observe(self, x, y):  # x float32 (b, n_inputs) in [0, 1], y int64 (b,)
        np.add.at(self.sums, y, np.maximum(x @ self.w, 0))
        np.add.at(self.counts, y, 1)

    def predict(self, x):  # scores (n, n_classes), the largest wins
        means = self.sums / np.maximum(self.counts, 1)[:, None]
        return np.maximum(x @ self.w, 0) @ means.T - (means**2).sum(axis=1) / 2

    def state(self):  # optional: an interrupted run goes on from here
        return {"sums": self.sums.copy(), "counts": self.counts.copy()}

    def restore(self, state):
        self.sums, self.counts = np.array(state["sums"]), np.array(state["counts"])

    def memory_bytes(self):  # optional: what it keeps between two batches
        return self.w.nbytes + self.sums.nbytes + self.counts.nbytes
