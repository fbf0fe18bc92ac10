"""Parts of continual learning that five papers share: data sets, streams of tasks, buffers, metrics, runs.

    from clrepro import Seeds, datasets, metrics, streams
    from clrepro.buffers import ReservoirBuffer

    tasks = streams.permuted(datasets.load("mnist_quick"), n_tasks=5, rng=Seeds(0)["tasks"])
    buffer = ReservoirBuffer(500, rng=Seeds(0)["memory"])
    matrix = metrics.AccuracyMatrix(len(tasks))

numpy is enough to import them; core/README.md has the map of the modules.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clrepro.seeding import Seeds as Seeds

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`clrepro.Seeds`, when it is asked for: `cl-repro --help` waits for no numpy."""
    if name != "Seeds":
        raise AttributeError(f"module 'clrepro' has no attribute {name!r}")
    from clrepro.seeding import Seeds

    return Seeds
