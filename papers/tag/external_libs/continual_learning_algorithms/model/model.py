"""The networks and methods; see tag_repro.tensorflow."""

from tag_repro.tensorflow.methods import METHODS as METHODS
from tag_repro.tensorflow.networks import MLP as MLP
from tag_repro.tensorflow.networks import ResNetS as ResNetS
