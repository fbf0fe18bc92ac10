"""Speed as ratios: two or more variants of doing the same work, interleaved on one core, medians and spread.

The machine is noisy, so no single time means much; a ratio of interleaved medians does.  Each paper offers
its benchmarks in `<paper>_repro.bench.benchmarks()` and how its costs grow in `scalings()`; the core's own
rows are in `clrepro.bench.rows`.  `python -m clrepro.bench [PAPER ...]` runs them (see `__main__`).
"""

from clrepro.bench.benchmark import Benchmark, Timing, run
from clrepro.bench.scaling import Growth, Scaling, measure

__all__ = ["Benchmark", "Growth", "Scaling", "Timing", "measure", "run"]
