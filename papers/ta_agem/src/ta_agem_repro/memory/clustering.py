"""The memory of TA-A-GEM: one pool of clusters per class label, with a slot for every stored sample."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.buffers.counters import checked_count
from ta_agem_repro.memory import draw
from ta_agem_repro.memory.cluster import Vector
from ta_agem_repro.memory.pool import ClusterPool


class ClusteringMemory:
    """Pools open when their label is first offered; at most num_pools · Q · P samples are stored.

    A stored sample keeps its slot in [0, num_pools · Q · P) until it leaves, so a learner may mirror the
    memory in any form and write only what changes.
    Args: Q — clusters per pool; P — samples per cluster; input_type — "samples" (this suite clusters inputs,
    not gradients); device — where tensors of `get_*` go if tensors were offered; policy, removal — see
    `ClusterPool`; rng — what every draw comes from.
    Raises: ValueError for another input_type, or when a label beyond num_pools arrives.
    Source: spec 3.2 to 3.5.
    """

    def __init__(
        self,
        Q: int,
        P: int,
        input_type: str = "samples",
        device: Any = "cpu",
        num_pools: int = 10,
        add_remove_randomly: bool = False,
        *,
        policy: str = "main",
        removal: str = "remove_oldest",
        rng: np.random.Generator | None = None,
    ) -> None:
        if input_type != "samples":
            raise ValueError(
                f"input_type {input_type!r}: 'samples'; clustering gradients is TA-OGD, not here"
            )
        self.Q, self.P, self.num_pools, self.device = Q, P, num_pools, device
        self._rng = np.random.default_rng(0) if rng is None else rng
        self._options: dict[str, Any] = {
            "add_remove_randomly": add_remove_randomly, "policy": policy, "removal": removal,
            "rng": self._rng,
        }  # fmt: skip
        self.pools: dict[int, ClusterPool] = {}
        self._offered: dict[int, int] = {}
        self._free = list(range(self.capacity - 1, -1, -1))
        self._slots: dict[int, NDArray[np.int64]] = {}
        self._as_tensors = False
        self._removal = "remove_random" if add_remove_randomly else removal

    @property
    def capacity(self) -> int:
        """Most samples that can be stored."""
        return self.num_pools * self.Q * self.P

    def add_sample(self, sample: Any, label: Any, task_id: int | None = None) -> int:
        """Offer one sample (any shape, flattened); returns the slot it was stored in, or -1."""
        self._as_tensors = self._as_tensors or hasattr(sample, "detach")
        x = sample.detach().cpu().numpy() if hasattr(sample, "detach") else sample
        return self.add(np.array(x, np.float32).ravel(), int(label), task_id)

    def add(self, x: Vector, label: int, task_id: int | None = None) -> int:
        """Offer x float32 (inputs,), which the memory keeps; returns its slot, or -1 if it was not stored."""
        if label not in self.pools:
            if len(self.pools) == self.num_pools:
                raise ValueError(
                    f"label {label}: all {self.num_pools} pools are taken by {sorted(self.pools)}; "
                    "num_pools must count the labels of the stream"
                )
            self.pools[label] = ClusterPool(self.Q, self.P, **self._options)
            self._offered[label] = 0
        pool = self.pools[label]
        item = pool.wrap(x, label, task_id)
        dropped = pool.insert(item)
        self._offered[label] += 1
        if dropped is item:
            return -1
        item.slot = dropped.slot if dropped else self._free.pop()
        self._slots.pop(label, None)
        return item.slot

    def pool_slots(self) -> list[NDArray[np.int64]]:
        """Returns the filled slots of each pool, in the order in which the pools opened."""
        for label, pool in self.pools.items():
            if label not in self._slots:
                self._slots[label] = np.array([item.slot for item in pool.items()], np.int64)
        return [self._slots[label] for label in self.pools]

    def get_memory_samples(self) -> list[tuple[Any, int]]:
        """Returns every stored (sample (inputs,), label)."""
        return [self._pair(item.x, item.label) for pool in self.pools.values() for item in pool.items()]

    def get_random_samples(self, amount: int) -> list[tuple[Any, int]]:
        """Returns a class-balanced draw of (sample, label), without repetition; all if fewer are stored."""
        by_slot = {item.slot: item for pool in self.pools.values() for item in pool.items()}
        chosen = draw.balanced(self.pool_slots(), amount, 1, self._rng)[0]
        return [self._pair(by_slot[int(slot)].x, by_slot[int(slot)].label) for slot in chosen]

    def _pair(self, x: Vector, label: int | None) -> tuple[Any, int]:
        if not self._as_tensors:
            return x, int(label or 0)
        import torch

        return torch.from_numpy(x.copy()).to(self.device), int(label or 0)

    def get_memory_size(self) -> int:
        """Returns the number of stored samples."""
        return sum(map(len, self.pools.values()))

    def get_pool_sizes(self) -> dict[int, int]:
        """Returns {label: stored samples}."""
        return {label: len(pool) for label, pool in self.pools.items()}

    def get_num_active_pools(self) -> int:
        """Returns the number of pools that hold something."""
        return sum(1 for pool in self.pools.values() if len(pool))

    def get_sample_throughputs(self) -> dict[int, int]:
        """Returns {label: samples offered so far}."""
        return dict(self._offered)

    def get_oldest_task_ids_matrix(self) -> list[list[int | None]]:
        """Returns num_pools rows of Q entries, rows sorted by label: the task of each cluster's oldest
        sample, None for no cluster.
        """
        rows = [self.pools[label].get_oldest_task_ids() for label in sorted(self.pools)]
        return rows + [[None] * self.Q for _ in range(self.num_pools - len(rows))]

    def get_clustering_mechanism(self) -> dict[int, ClusterPool]:
        """Returns {label: pool}."""
        return self.pools

    def get_removal_function(self) -> str:
        """Returns the name of the eviction rule."""
        return self._removal

    def contents(self) -> dict[str, NDArray[Any]]:
        """Returns the memory as columns: samples float32 (n, inputs), labels, task_ids (-1: none), clusters
        (number in its pool) and arrivals int64 (n,); no columns when nothing is stored.
        """
        states = [pool.state() for pool in self.pools.values() if len(pool)]
        names = {
            "samples": "x", "labels": "label", "task_ids": "task_id", "clusters": "cluster",
            "arrivals": "arrival",
        }  # fmt: skip
        return {new: np.concatenate([s[old] for s in states]) for new, old in names.items() if states}

    def state(self) -> dict[str, Any]:
        """Returns pools, counters and free slots; the generator belongs to the caller."""
        return {
            "labels": list(self.pools),
            "pools": [pool.state() for pool in self.pools.values()],
            "offered": list(self._offered.values()),
            "free": list(self._free),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for the state of a memory of another shape or kind (nothing is loaded then).
        """
        labels, free = [int(label) for label in state["labels"]], [int(slot) for slot in state["free"]]
        pools = {label: ClusterPool(self.Q, self.P, **self._options) for label in labels}
        for pool, saved in zip(pools.values(), state["pools"], strict=True):
            pool.load(saved)
        held = [item.slot for pool in pools.values() for item in pool.items()]
        if len(pools) > self.num_pools or sorted([*held, *free]) != list(range(self.capacity)):
            raise ValueError(
                f"state of {len(pools)} pools, {len(held)} stored samples and {len(free)} free slots: this "
                f"memory has {self.num_pools} pools and {self.capacity} slots"
            )
        offered = dict(zip(labels, (checked_count(n, "offered") for n in state["offered"]), strict=True))
        self.pools, self._offered, self._free, self._slots = pools, offered, free, {}
