"""Reference batches: which stored samples the gradient of the past is taken on.  Spec 3.5."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.int64]
WHOLE = 256  # most samples of the draw that takes the whole memory


def quotas(sizes: Sequence[int], n: int) -> list[int]:
    """Returns how many samples each pool gives to a draw of n, in the order of the pools.

    After the i-th pool (from 1) m·i are due, m = max(1, ceil(n / pools)); a pool that is too small leaves its
    rest to the next.  With n below the number of pools the first n give one each.
    """
    due = max(1, -(-n // len(sizes)))
    taken, out = 0, []
    for place, size in enumerate(sizes, 1):
        take = max(0, min(due * place - taken, n - taken, size))
        out.append(take)
        taken += take
    return out


def balanced(pools: Sequence[Slots], n: int, batches: int, rng: np.random.Generator) -> Slots:
    """Returns int64 (batches, k): for each batch n stored slots, as equally many per pool as there are, drawn
    without repetition; all of them (k < n) if fewer are stored.

    Pools that hold samples take part; with n below their number, each batch draws its own n of them.
    """
    pools = [pool for pool in pools if len(pool)]
    stored = sum(map(len, pools))
    if stored <= n:
        every = np.concatenate(pools) if pools else np.empty(0, np.int64)
        return np.tile(every, (batches, 1))
    if n < len(pools):
        return _one_from_each(pools, n, batches, rng)
    parts = []
    for pool, take in zip(pools, quotas([len(pool) for pool in pools], n), strict=True):
        if take == 1:
            parts.append(pool[rng.integers(0, len(pool), (batches, 1))])
        elif take:
            parts.append(pool[np.argsort(rng.random((batches, len(pool))), axis=1)[:, :take]])
    return np.concatenate(parts, axis=1)


def _one_from_each(pools: Sequence[Slots], n: int, batches: int, rng: np.random.Generator) -> Slots:
    chosen = np.argsort(rng.random((batches, len(pools))), axis=1)[:, :n]
    sizes = np.array([len(pool) for pool in pools])
    place = rng.integers(0, sizes[chosen])
    starts = np.cumsum(sizes) - sizes
    return np.asarray(np.concatenate(list(pools))[starts[chosen] + place])


def whole(pools: Sequence[Slots], rng: np.random.Generator, most: int = WHOLE) -> Slots:
    """Returns every stored slot, or a uniform subset of `most` if there are more."""
    every = np.concatenate(list(pools)) if pools else np.empty(0, np.int64)
    return every if len(every) <= most else rng.choice(every, most, replace=False)
