"""The baseline memory: a reservoir per class, of the size that a pool of clusters has."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.buffers import Columns, Reservoir
from ta_agem_repro.memory.cluster import Vector


class ClassReservoirs:
    """At most Q · P samples per class, each reservoir a uniform sample of what its class was offered.

    The same methods as `ClusteringMemory` as far as the learner uses it.
    Args: rng — what every draw comes from.  Raises: ValueError when a label beyond num_pools arrives.
    """

    def __init__(self, Q: int, P: int, num_pools: int, rng: np.random.Generator) -> None:
        self.Q, self.P, self.num_pools = Q, P, num_pools
        self._rng = rng
        self._pools: dict[int, Reservoir] = {}
        self._items: Columns | None = None

    @property
    def capacity(self) -> int:
        """Most samples that can be stored."""
        return self.num_pools * self.Q * self.P

    def add(self, x: Vector, label: int, task_id: int | None = None) -> int:
        """Offer x float32 (inputs,); returns its slot, or -1 if it was not stored."""
        if label not in self._pools:
            if len(self._pools) == self.num_pools:
                raise ValueError(
                    f"label {label}: all {self.num_pools} pools are taken by {sorted(self._pools)}"
                )
            self._pools[label] = Reservoir(self.Q * self.P, self._rng)
        if self._items is None:
            self._items = self._columns(x.size)
        task = -1 if task_id is None else task_id
        self._items.write([-1], x=x[None], task=[task])  # a check: nothing is drawn for a wrong sample
        place = int(self._pools[label].add()[0])
        if place < 0:
            return -1
        slot = list(self._pools).index(label) * self.Q * self.P + place
        self._items.write([slot], x=x[None], task=[task])
        return slot

    def _columns(self, inputs: int) -> Columns:
        return Columns(self.capacity, {"x": ((inputs,), np.float32), "task": ((), np.int64)})

    def pool_slots(self) -> list[NDArray[np.int64]]:
        """Returns the filled slots of each reservoir, in the order in which they opened."""
        step = self.Q * self.P
        return [np.arange(i * step, i * step + pool.size) for i, pool in enumerate(self._pools.values())]

    def get_memory_size(self) -> int:
        """Returns the number of stored samples."""
        return sum(pool.size for pool in self._pools.values())

    def get_pool_sizes(self) -> dict[int, int]:
        """Returns {label: stored samples}."""
        return {label: pool.size for label, pool in self._pools.items()}

    def get_num_active_pools(self) -> int:
        """Returns the number of reservoirs that hold something."""
        return sum(1 for pool in self._pools.values() if pool.size)

    def get_sample_throughputs(self) -> dict[int, int]:
        """Returns {label: samples offered so far}."""
        return {label: pool.seen for label, pool in self._pools.items()}

    def get_oldest_task_ids_matrix(self) -> list[list[int | None]]:
        """Returns num_pools rows of Q entries, all None: a reservoir has no clusters."""
        return [[None] * self.Q for _ in range(self.num_pools)]

    def get_removal_function(self) -> str:
        """Returns the name of the eviction rule."""
        return "reservoir"

    def contents(self) -> dict[str, NDArray[Any]]:
        """Returns the memory as columns, as `ClusteringMemory.contents` does; every sample in cluster 0."""
        if self._items is None:
            return {}
        slots = np.concatenate(self.pool_slots())
        held = self._items.read(slots)
        labels = np.repeat(list(self._pools), [pool.size for pool in self._pools.values()])
        return {
            "samples": held["x"], "labels": labels, "task_ids": held["task"],
            "clusters": np.zeros(len(slots), np.int64), "arrivals": np.arange(len(slots)),
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Returns payload and counters; the generator belongs to the caller."""
        return {
            "labels": list(self._pools),
            "pools": [pool.state() for pool in self._pools.values()],
            **({} if self._items is None else self._items.state()),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for the state of a memory of another shape (nothing is loaded then).
        """
        pools = {int(label): Reservoir(self.Q * self.P, self._rng) for label in state["labels"]}
        for pool, saved in zip(pools.values(), state["pools"], strict=True):
            pool.load(saved)
        if len(pools) > self.num_pools:
            raise ValueError(f"state of {len(pools)} reservoirs: this memory has {self.num_pools}")
        items = None
        if "x" in state and np.size(state["x"]):
            items = self._columns(np.shape(state["x"])[1])
            items.load({name: state[name] for name in ("x", "task")})
        self._pools, self._items = pools, items
