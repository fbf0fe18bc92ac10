"""Who is remembered: policies return slot numbers, so the payload may live in numpy, torch or JAX."""

from clrepro.buffers.columns import Columns as Columns
from clrepro.buffers.per_class import PerClass as PerClass
from clrepro.buffers.prioritized import Prioritized as Prioritized
from clrepro.buffers.prioritized import SumTree as SumTree
from clrepro.buffers.reservoir import Reservoir as Reservoir
from clrepro.buffers.reservoir_buffer import ReservoirBuffer as ReservoirBuffer
from clrepro.buffers.ring import Ring as Ring
