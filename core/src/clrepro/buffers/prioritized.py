"""Prioritised replay: the most recent items, sampled in proportion to a power of their priority."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrepro.buffers.counters import checked_count
from clrepro.buffers.ring import Ring

# Up to this many leaves a plain loop over the levels beats numpy's fixed cost per call (measured: 20 levels).
FEW = 8
# What all weights together may be: below what a float holds, as their order of adding changes the last bits.
MOST = float(np.finfo(np.float64).max) * (1 - 1e-9)


class SumTree:
    """A row of weights with their total, a weight's change and a search by cumulated weight in log2(n) steps.

    Every inner node is the float64 sum of its two children, made anew from them at each change: rounding does
    not pile up, and the same weights give the same tree however they came about.

    Args: n_leaves — length of the row, 1 or more.
    Raises: ValueError for fewer.
    """

    def __init__(self, n_leaves: int) -> None:
        if n_leaves < 1:
            raise ValueError(f"n_leaves {n_leaves}: a sum tree needs at least one leaf")
        self.n_leaves = n_leaves
        self.depth = (n_leaves - 1).bit_length()
        # Node 1 is the root, node i has the children 2i and 2i + 1, the leaves are the last 2**depth nodes.
        self._first = 1 << self.depth
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._nodes[1])

    @property
    def leaves(self) -> NDArray[np.float64]:
        """The weights, float64 (n_leaves,); a view: change them with `update` only."""
        return self._nodes[self._first : self._first + self.n_leaves]

    def update(self, index: NDArray[np.int64], weight: ArrayLike) -> None:
        """Set weights; of several for one leaf the last counts.

        Args: index — int64 (n,) in [0, n_leaves); weight — (n,) or one for all, finite and 0 or larger.
        Raises: ValueError for anything else, and for a total that no float holds (nothing is changed then).
        """
        values = _weights(weight)
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < self.n_leaves:
            raise ValueError(f"index from {index.min()} to {index.max()}: 0 to {self.n_leaves - 1}")
        node = index + self._first
        # While the total and all new weights together are below half of it, no sum can be too large.
        if values.size and (self._nodes[1] > MOST / 2 or values.max() > MOST / 2 / self.n_leaves):
            trial = self.leaves.copy()
            trial[index] = values
            _check_total(trial)
        self._nodes[node] = values
        if index.size <= FEW:
            self._sum_above_each(node)
            return
        for _ in range(self.depth):
            # A parent named twice gets the same sum twice: cheaper than sorting the names out.
            node = node >> 1
            self._nodes[node] = self._nodes[2 * node] + self._nodes[2 * node + 1]

    def _sum_above_each(self, leaves: NDArray[np.int64]) -> None:
        nodes = self._nodes
        for leaf in leaves.tolist():
            node = leaf >> 1
            while node:
                nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
                node >>= 1

    def find(self, mass: NDArray[np.float64]) -> NDArray[np.int64]:
        """Where the running sum of the weights first exceeds each mass.

        Args: mass — float64 (n,) in [0, total).
        Returns: int64 (n,), the smallest i with weight[0] + ... + weight[i] > mass.  A leaf of weight 0 is
        never returned, even where rounding puts a mass past the end.
        Raises: ValueError for a total of 0, where nothing can be found.
        """
        if not self._nodes[1] > 0:
            raise ValueError("total weight 0: nothing to find; give some leaf a weight above 0")
        node = np.ones(mass.shape, np.int64)
        left_over = np.array(mass, np.float64)
        for _ in range(self.depth):
            node <<= 1
            left = self._nodes[node]
            # The second condition matters only after rounding: no step may leave for an empty half.
            right = (left_over >= left) & (self._nodes[node + 1] > 0)
            left_over -= left * right
            node += right
        return node - self._first

    def rebuild(self, leaves: NDArray[np.float64]) -> None:
        """Set the first weights to `leaves` float64 (up to n_leaves,), the others to 0.

        Raises: ValueError for weights that `update` refuses, or more than n_leaves (nothing is changed then).
        """
        leaves = _weights(leaves)
        if leaves.ndim != 1 or len(leaves) > self.n_leaves:
            raise ValueError(f"weights {leaves.shape}: one row of at most {self.n_leaves}")
        _check_total(leaves)
        self._nodes[:] = 0
        self._nodes[self._first : self._first + len(leaves)] = leaves
        for level in range(self.depth - 1, -1, -1):
            below = self._nodes[2 << level : 4 << level]
            self._nodes[1 << level : 2 << level] = below[::2] + below[1::2]


def _weights(given: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(given, np.float64)
    if values.size and not (values.min() >= 0 and values.max() < np.inf):  # false for nan
        raise ValueError(f"weights from {values.min()} to {values.max()}: finite and 0 or larger")
    return values


def _check_total(weights: NDArray[np.float64]) -> None:
    with np.errstate(over="ignore"):
        if not np.sum(weights) < MOST:
            raise ValueError("the weights add up to more than any float holds; scale the priorities down")


def powers(priorities: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Returns priorities**alpha (n,), infinite where no float holds it; 0 stays 0, not sampled, for alpha 0
    too.
    """
    with np.errstate(over="ignore"):
        return np.where(priorities > 0, priorities**alpha, 0.0)


class Prioritized:
    """A ring whose items are sampled with probability priority**alpha / sum of all priority**alpha.

    New items get the largest priority given so far (1 before any), so that each is soon sampled.

    Args: capacity — slots, 1 or more; alpha — 0 is uniform, 1 proportional; rng — what every draw comes from.
    Raises: ValueError for a capacity below 1 or an alpha that is negative or not finite.
    Source: Schaul et al. 2016, "Prioritized Experience Replay", the proportional variant.
    """

    def __init__(self, capacity: int, alpha: float, rng: np.random.Generator) -> None:
        if not 0 <= alpha < np.inf:
            raise ValueError(f"alpha {alpha}: 0 (uniform) or larger, 1 is proportional")
        self._ring, self._tree = Ring(capacity), SumTree(capacity)
        self.capacity, self.alpha = capacity, float(alpha)
        self.max_priority = 1.0
        self._rng = rng

    @property
    def size(self) -> int:
        """Filled slots: min(seen, capacity)."""
        return self._ring.size

    @property
    def seen(self) -> int:
        """Items offered so far."""
        return self._ring.seen

    def add(self, n: int = 1) -> NDArray[np.int64]:
        """Decide where the next n items go and give them the largest priority so far.

        Returns: int64 (n,) slots, each in the place of the oldest item.
        Raises: ValueError unless n is a whole number of 0 or more, or if all weights together would be more
        than a float holds (nothing is stored then).
        """
        before = self._ring.seen
        slots = self._ring.add(n)
        try:
            self._tree.update(slots, self.max_priority**self.alpha)
        except (ValueError, OverflowError):
            self._ring.seen = before
            raise ValueError(
                f"{n} more items of the largest priority {self.max_priority}: the weights would add up to "
                "more than any float holds; scale the priorities down"
            ) from None
        return slots

    def sample(
        self, n: int, beta: float, stratified: bool = False
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw n filled slots, with replacement, and the weights that correct for the uneven probabilities.

        Args: beta — strength of the correction, 0 none to 1 full; stratified — one draw from each of n equal
        parts of the total instead of n independent ones (same expected counts, less variance).
        Returns: slots int64 (n,), weights float64 (n,): (size * probability)**-beta over the largest of them,
        thus in (0, 1].  Both empty if nothing is stored.
        Raises: ValueError for a beta that is negative or not finite, or if every stored item has weight 0.
        """
        if not 0 <= beta < np.inf:
            raise ValueError(f"beta {beta}: 0 (no correction) to 1 (full)")
        if not checked_count(n, "items drawn") or not self.size:
            return np.empty(0, np.int64), np.empty(0)
        share = self._rng.random(n)
        if stratified:
            share = (np.arange(n) + share) / n
        slots = self._tree.find(share * self._tree.total)
        mass = self._tree.leaves[slots]
        # Size and total are common factors and leave with the division by the largest weight.
        return slots, (mass / mass.min()) ** -beta

    def update(self, slots: ArrayLike, priorities: ArrayLike) -> None:
        """Set the priorities of stored items, e.g. |TD error| + epsilon; of several for one the last counts.

        Args: slots — integers (n,), filled ones; priorities — (n,), finite and 0 or larger (0: not sampled).
        Raises: ValueError for anything else (nothing is changed then).
        """
        named, given = np.asarray(slots), np.asarray(priorities, np.float64)
        if named.size and named.dtype.kind not in "iu":
            raise ValueError(f"slots {named.dtype}: integers")
        index = named.astype(np.int64)
        if index.ndim != 1 or index.shape != given.shape:
            raise ValueError(f"slots {index.shape}, priorities {given.shape}: one row each, equally long")
        if not index.size:
            return
        if not 0 <= int(index.min()) <= int(index.max()) < self.size:
            raise ValueError(f"slots from {index.min()} to {index.max()}: filled ones, 0 to {self.size - 1}")
        if not np.all((given >= 0) & (given < np.inf)):
            raise ValueError(f"priorities from {given.min()} to {given.max()}: finite, 0 or larger")
        self._tree.update(index, powers(given, self.alpha))
        self.max_priority = max(self.max_priority, float(given.max()))

    def state(self) -> dict[str, Any]:
        """Returns counters and weights (priority**alpha, float64 (size,)); the generator is the caller's."""
        weights = self._tree.leaves[: self.size].copy()
        return {
            "ring": self._ring.state(),
            "alpha": self.alpha,
            "max_priority": self.max_priority,
            "weights": weights,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for the state of a buffer of another capacity or alpha, or one whose parts do not
        belong together (nothing is loaded then).
        """
        if float(state["alpha"]) != self.alpha:
            raise ValueError(
                f"state with alpha {state['alpha']}: this buffer has {self.alpha}; make it as it was saved"
            )
        ring, largest = Ring(self.capacity), float(state["max_priority"])
        ring.load(state["ring"])
        weights = np.asarray(state["weights"], np.float64)
        if weights.shape != (ring.size,) or not 0 < largest < np.inf:
            raise ValueError(
                f"state with {weights.shape} weights and the largest priority {largest}: {ring.size} weights "
                "and a number above 0"
            )
        self._tree.rebuild(weights)
        self._ring, self.max_priority = ring, largest
