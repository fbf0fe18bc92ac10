"""The memories; see clrepro.buffers and tag_repro.tensorflow.methods.memory."""

from clrepro.buffers import PerClass as PerClass
from clrepro.buffers import Reservoir as Reservoir
from tag_repro.tensorflow.methods.memory import Memory as Memory
