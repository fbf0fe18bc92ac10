"""The memories; see clrepro.buffers."""

from clrepro.buffers import Columns as Columns
from clrepro.buffers import PerClass as PerClass
from clrepro.buffers import Reservoir as Reservoir
