"""Speed as ratios: two or more ways of doing the same work, interleaved on one core, medians and spread.

The machine is noisy, so no single time means much; a ratio of interleaved medians does.  Each paper offers
its contests in `<paper>_repro.bench.contests()` and how its costs grow in `scalings()`; the core's own rows
are in `clrepro.bench.rows`.  `python -m clrepro.bench [PAPER ...]` runs them (see `__main__`).
"""

from clrepro.bench.benchmark import Contest, Standing, run
from clrepro.bench.scaling import Growth, Scaling, measure

__all__ = ["Contest", "Growth", "Scaling", "Standing", "measure", "run"]
