"""The networks; see tag_repro.networks.models."""

from tag_repro.networks.models import MLP as MLP
from tag_repro.networks.models import ResNetS as ResNetS
