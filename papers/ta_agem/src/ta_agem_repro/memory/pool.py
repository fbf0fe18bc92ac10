"""A pool: the clusters of one class, and the three ways in which a sample finds its cluster."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ta_agem_repro.memory.cluster import Cluster, Stored, Vector

POLICIES = ("main", "paper", "random")


class ClusterPool:
    """At most Q clusters of at most P samples each; distances are Euclidean, ties go to the lowest number.

    Args: policy — "main": a cluster opens only when a sample's nearest cluster is a singleton (spec 3.3 b);
    "paper": open until Q, then join the nearest (3.3 a); "random": open until Q, then join any (3.3 c);
    removal — name in `removal.REMOVALS`; dimensionality_reducer — anything with fit(x) and transform(x)
    (n, inputs) -> (n, k): distances are then taken in that space once `fit_reducer` was called; rng — the
    one that every draw comes from.
    Raises: ValueError for a size below 1 or an unknown policy.
    """

    def __init__(
        self,
        Q: int = 100,
        P: int = 3,
        add_remove_randomly: bool = False,
        dimensionality_reducer: Any = None,
        *,
        policy: str = "main",
        removal: str = "remove_oldest",
        rng: np.random.Generator | None = None,
    ) -> None:
        if Q < 1 or P < 1:
            raise ValueError(f"Q {Q}, P {P}: a pool needs at least one cluster of one sample")
        if policy not in POLICIES:
            raise ValueError(f"policy {policy!r}: one of {', '.join(POLICIES)}")
        self.Q, self.P = Q, P
        self.policy = "random" if add_remove_randomly else policy
        self.removal = "remove_random" if add_remove_randomly else removal
        self.clusters: list[Cluster] = []
        self.dimensionality_reducer = dimensionality_reducer
        self._reducer_ready = False
        self._rng = np.random.default_rng(0) if rng is None else rng
        self._made = (Q, P, self.policy, self.removal)
        self._arrivals = 0
        self._means: Vector = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return sum(map(len, self.clusters))

    def add(self, sample: Any, label: int | None = None, task_id: int | None = None) -> Stored | None:
        """Offer one sample (inputs,); returns the sample that had to leave, or None.

        Raises: ValueError for a sample of another length than those before.
        """
        return self.insert(self.wrap(sample, label, task_id))

    def add_multi(self, samples: Iterable[Any], labels: Iterable[Any], task_ids: Any = None) -> None:
        """Offer samples one after the other; task_ids — one for all, one each, or None."""
        samples, labels = list(samples), list(labels)
        each = isinstance(task_ids, list | tuple | np.ndarray)
        tasks = list(task_ids) if each else [task_ids] * len(samples)
        for sample, label, task in zip(samples, labels, tasks, strict=True):
            self.add(sample, int(label), task)

    def wrap(self, sample: Any, label: int | None, task_id: int | None) -> Stored:
        """Returns the sample as an item of this pool, with its place in the space of distances."""
        x = np.asarray(sample, np.float32).ravel()
        return Stored(x, self.transform(x[None])[0] if self._reducer_ready else x, label, task_id)

    def insert(self, item: Stored) -> Stored | None:
        """Place an item by the pool's policy; returns the item that had to leave (maybe this one), or
        None.
        """
        if self.clusters and item.z.shape != self._means.shape[1:]:
            raise ValueError(f"sample of length {item.z.size}; this pool holds length {self._means.shape[1]}")
        if self.policy == "main":
            return self._insert_main(item)
        if len(self.clusters) < self.Q:
            self._open(item)
            return None
        if self.policy == "paper":
            return self._join(self.nearest(item.z)[0], item)
        return self._join(int(self._rng.integers(self.Q)), item)

    def _insert_main(self, item: Stored) -> Stored | None:
        k = len(self.clusters)
        if k == 0 or (k == 1 and self.Q > 1):
            self._open(item)
            return None
        nearest, distance = self.nearest(item.z)
        if len(self.clusters[nearest]) > 1:
            return self._join(nearest, item)
        other, spacing = self.nearest(self.clusters[nearest].items[0].z, exclude=nearest)
        if distance > spacing:
            # The singleton is closer to its neighbour than to the newcomer: it moves there and yields its
            # place.
            moved = self.clusters[nearest].replace(self._numbered(item))
            self._remember(nearest)
            return self._join(other, moved)
        if k < self.Q:
            self._open(item)
            return None
        return self._join(nearest, item)

    def nearest(self, z: Vector, exclude: int = -1) -> tuple[int, float]:
        """Returns (number of the cluster whose mean is nearest to z, its distance); (-1, inf) without any."""
        k = len(self.clusters)
        if k == 0 or (k == 1 and exclude == 0):
            return -1, float("inf")
        from ta_agem_repro.memory.geometry import squared_distances

        square = squared_distances(self._means[:k], z)
        if exclude >= 0:
            square[exclude] = np.inf
        best = int(square.argmin())
        return best, float(square[best]) ** 0.5

    def _numbered(self, item: Stored) -> Stored:
        item.arrival = self._arrivals
        self._arrivals += 1
        return item

    def _open(self, item: Stored) -> None:
        if not self._means.size:
            self._means = np.zeros((self.Q, item.z.size), np.float32)
        self.clusters.append(Cluster(self._numbered(item), self.removal, rng=self._rng))
        self._remember(len(self.clusters) - 1)

    def _join(self, number: int, item: Stored) -> Stored | None:
        dropped = self.clusters[number].append(self._numbered(item), self.P)
        self._remember(number)
        return dropped

    def _remember(self, number: int) -> None:
        self._means[number] = self.clusters[number].mean

    def items(self) -> list[Stored]:
        """Every stored sample, cluster by cluster, oldest first."""
        return [item for cluster in self.clusters for item in cluster.items]

    def get_clusters_for_training(self) -> list[Vector]:
        """Returns the stored samples, cluster by cluster."""
        return [item.x for item in self.items()]

    def get_clusters_with_labels(self) -> list[tuple[Vector, int | None]]:
        """Returns (sample, label), cluster by cluster."""
        return [(item.x, item.label) for item in self.items()]

    def get_oldest_task_ids(self) -> list[int | None]:
        """Returns Q entries: the task of the oldest sample of each cluster, None where there is none."""
        held = [cluster.items[0].task_id for cluster in self.clusters]
        return held + [None] * (self.Q - len(held))

    def fit_reducer(self, samples: Any) -> None:
        """Fit the reducer to samples (n, inputs) and take all distances in its space from now on.

        Raises: ValueError without a reducer.
        """
        if self.dimensionality_reducer is None:
            raise ValueError("no reducer: make the pool with dimensionality_reducer=...")
        self.dimensionality_reducer.fit(np.asarray(samples, np.float32))
        self._reducer_ready = True
        for item in self.items():
            item.z = self.transform(item.x[None])[0]
        if self.clusters:
            width = self.clusters[0].items[0].z.size
            self._means = np.zeros((self.Q, width), np.float32)
        for number, cluster in enumerate(self.clusters):
            cluster._refresh()
            self._remember(number)

    def transform(self, samples: Any) -> Vector:
        """Returns samples (n, inputs) in the space of distances: unchanged without a fitted reducer."""
        x = np.asarray(samples, np.float32)
        return np.asarray(self.dimensionality_reducer.transform(x), np.float32) if self._reducer_ready else x

    def state(self) -> dict[str, Any]:
        """Returns the items as columns, the counter and what the pool is; the generator is the caller's."""
        items = self.items()
        return {
            "made": [str(word) for word in self._made],
            "x": np.stack([item.x for item in items]),
            "cluster": np.repeat(np.arange(len(self.clusters)), [len(c) for c in self.clusters]),
            "label": np.array([-1 if item.label is None else item.label for item in items]),
            "task_id": np.array([-1 if item.task_id is None else item.task_id for item in items]),
            "arrival": np.array([item.arrival for item in items]),
            "slot": np.array([item.slot for item in items]),
            "arrivals": self._arrivals,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for the state of a pool of other Q, P, policy or removal (those of earlier versions
        do not say, and are judged by what they hold), or one that no pool has (nothing is loaded then).
        """
        made, own = state.get("made"), [str(word) for word in self._made]
        if made is not None and made != own:
            raise ValueError(f"state of a pool of Q, P, policy, removal {made}: this one has {own}")
        sizes = np.bincount(np.asarray(state["cluster"], np.int64))
        columns = [np.shape(state[name]) for name in ("cluster", "label", "task_id", "arrival", "slot")]
        if len(sizes) > self.Q or not all(0 < n <= self.P for n in sizes) or len(set(columns)) > 1:
            raise ValueError(
                f"state with clusters of {sizes.tolist()[:20]} samples: this pool has {self.Q} of at most "
                f"{self.P}"
            )
        if (np.diff(state["cluster"]) < 0).any() or len(state["x"]) != columns[0][0]:
            raise ValueError(f"state of {len(state['x'])} samples whose clusters are not in their order")
        self.clusters = []
        for row, number in enumerate(state["cluster"]):
            label, task = _optional(state["label"][row]), _optional(state["task_id"][row])
            item = self.wrap(state["x"][row].copy(), label, task)
            if number == len(self.clusters):
                self._open(item)
            else:
                self.clusters[number].items.append(item)
            item.arrival, item.slot = int(state["arrival"][row]), int(state["slot"][row])
        for number, cluster in enumerate(self.clusters):
            cluster._refresh()
            self._remember(number)
        self._arrivals = int(state["arrivals"])


def _optional(value: Any) -> int | None:
    return None if int(value) < 0 else int(value)


ClusteringMechanism = ClusterPool
