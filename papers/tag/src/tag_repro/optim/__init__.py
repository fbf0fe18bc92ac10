"""Optimizers: TAG, and the plain ones by name."""

from tag_repro.optim.tag import TAG as TAG
from tag_repro.optim.tag import VARIANTS as VARIANTS
