"""The networks; see tag_repro.models."""

from tag_repro.models import MLP as MLP
from tag_repro.models import ResNetS as ResNetS
