"""Losses and figures; see tag_repro.losses and tag_repro.plots."""

from tag_repro.losses import mixed_loss as mixed_loss
from tag_repro.losses import task_loss as task_loss
from tag_repro.plots import accuracy_figure as accuracy_figure
