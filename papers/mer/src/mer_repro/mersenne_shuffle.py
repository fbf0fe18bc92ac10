"""Python's `random.shuffle`, compiled: the same Mersenne Twister words, so the same permutations and the
same end state.

Source: Matsumoto & Nishimura 1998 (MT19937); CPython draws an integer below n as the top bit_length(n) bits
of one word, again until it is below n, and shuffles from the last position down to the second.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

import random

import numba
import numpy as np
from numpy.typing import NDArray

_N, _M = 624, 397


@numba.njit(cache=True)
def _refill(words):
    """Generate the next 624 words in place."""
    for k in range(_N):
        y = (words[k] & np.uint32(0x80000000)) | (words[(k + 1) % _N] & np.uint32(0x7FFFFFFF))
        twist = words[(k + _M) % _N] ^ (y >> np.uint32(1))
        if y & np.uint32(1):
            twist ^= np.uint32(0x9908B0DF)
        words[k] = twist


@numba.njit(cache=True)
def _picks(words, at, size, n):
    """Returns (indices int64 (n,), next position in words): shuffle 0..size-1 before each pick j, take
    position j.
    """
    order = np.arange(size)
    out = np.empty(n, np.int64)
    for j in range(n):
        for i in range(size - 1, 0, -1):
            bits = 0
            while (i + 1) >> bits:
                bits += 1
            while True:
                if at >= _N:
                    _refill(words)
                    at = 0
                y = words[at]
                at += 1
                y ^= y >> np.uint32(11)
                y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
                y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
                y ^= y >> np.uint32(18)
                k = np.int64(y >> np.uint32(32 - bits))
                if k <= i:
                    break
            order[i], order[k] = order[k], order[i]
        out[j] = order[j]
    return out, at


def shuffled_indices(rng: random.Random, size: int, n: int) -> NDArray[np.int64]:
    """Returns n indices (int64) among `size` slots as n full shuffles of a plain list would give, and moves
    rng as far.
    """
    version, internal, gauss = rng.getstate()
    words = np.array(internal[:-1], np.uint32)
    indices, at = _picks(words, internal[-1], size, n)
    rng.setstate((version, (*words.tolist(), int(at)), gauss))
    return np.asarray(indices)
