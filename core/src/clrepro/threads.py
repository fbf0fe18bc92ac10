"""One thread per process: what must be in the environment before numpy or a framework is imported.

Jobs share the cores, so threads inside a job only cost time; and with one thread sums keep their order, so a
record does not depend on how many jobs ran beside it.  This module imports nothing, so it can come first.
"""

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in _LIBRARIES} | {"VECLIB_MAXIMUM_THREADS": "1"}
