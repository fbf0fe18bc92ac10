"""Who leaves a cluster that holds one sample too many.

A removal function takes the distances (n,) of all samples to the cluster's mean, oldest first, the newcomer
last and part of the mean, and a generator; it returns the place of the sample to drop.  Spec 3.4.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Removal = Callable[[NDArray[np.float64], np.random.Generator], int]
FAR = 1.5  # of the branch variants: "further than this times the distance of the oldest"


def oldest(distance: NDArray[np.float64], rng: np.random.Generator) -> int:
    """The first in order of arrival."""
    return 0


def newest(distance: NDArray[np.float64], rng: np.random.Generator) -> int:
    """The newcomer."""
    return len(distance) - 1


def random(distance: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Any, each with the same probability, the newcomer included."""
    return int(rng.integers(len(distance)))


def furthest_from_mean(distance: NDArray[np.float64], rng: np.random.Generator) -> int:
    """The one furthest from the mean; never the newcomer; of equals the oldest."""
    return int(np.argmax(distance[:-1]))


def oldest_unless_newcomer_far(distance: NDArray[np.float64], rng: np.random.Generator) -> int:
    """The oldest, or the newcomer if it lies more than 1.5 times as far out as the oldest."""
    return len(distance) - 1 if distance[-1] > FAR * distance[0] else 0


def oldest_unless_middle_far(distance: NDArray[np.float64], rng: np.random.Generator) -> int:
    """The oldest, or the outermost between it and the newcomer if that lies more than 1.5 times as far
    out.
    """
    if len(distance) < 3:
        return 0
    middle = 1 + int(np.argmax(distance[1:-1]))
    return middle if distance[middle] > FAR * distance[0] else 0


REMOVALS: Mapping[str, Removal] = MappingProxyType({
    "remove_oldest": oldest,
    "remove_based_on_mean": furthest_from_mean,
    "remove_random": random,
    "remove_newest": newest,
    "remove_oldest_unless_far": oldest_unless_newcomer_far,
    "remove_oldest_unless_middle_far": oldest_unless_middle_far,
})  # fmt: skip
# These look at no distance, so none is worked out for them.
BLIND = frozenset({oldest, newest, random})
