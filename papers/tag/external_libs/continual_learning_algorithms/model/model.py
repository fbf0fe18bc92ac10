"""The networks and methods; see tag_repro.tf."""

from tag_repro.tf.methods import METHODS as METHODS
from tag_repro.tf.networks import MLP as MLP
from tag_repro.tf.networks import ResNetS as ResNetS
