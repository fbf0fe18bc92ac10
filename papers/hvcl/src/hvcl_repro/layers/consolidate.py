"""Between two tasks: what a model has learned becomes what it is held to."""

from collections.abc import Iterator
from typing import Any

from hvcl_repro.layers.move import MoVE


def move_layers(model: Any) -> Iterator[MoVE]:
    """Yields the MoVE layers of a model or layer, however deep, in order."""
    for layer in model._flatten_layers(include_self=True):
        if isinstance(layer, MoVE):
            yield layer


def model_consolidate(
    model: Any, *, expert_beta: float | None = None, gating_beta: float | None = None
) -> None:
    """Make every MoVE layer's posterior its prior; then set the weights of the KL terms, where given."""
    for layer in move_layers(model):
        layer.consolidate()
        if expert_beta is not None:
            layer.kl_weights.assign(expert_beta)
        if gating_beta is not None:
            layer.gating_kl_weight.assign(gating_beta)
