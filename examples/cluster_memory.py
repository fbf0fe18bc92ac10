"""The cluster memory of TA-A-GEM: a pool of small clusters for each class, filled as images come in."""

import numpy as np

from clrepro import datasets
from ta_agem_repro.memory import ClusteringMemory

data = datasets.load("mnist_quick")
memory = ClusteringMemory(Q=10, P=3, num_pools=10, rng=np.random.default_rng(0))
for image, label in zip(data.x_train[:2000], data.y_train[:2000], strict=True):
    memory.add(image.ravel().astype(np.float32) / 255, int(label), task_id=0)

stored = {label: len(pool) for label, pool in memory.pools.items()}
print("images kept of each class:", dict(sorted(stored.items())))
