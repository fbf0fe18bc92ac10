"""Who is remembered: policies return slot numbers, so the payload may live in numpy, torch or JAX."""

from clrepro.buffers.reservoir import Reservoir as Reservoir
