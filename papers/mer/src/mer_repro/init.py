"""Initial weights, drawn in the original's order so that one seed gives one start for every engine.

Order (contract 2.3, step 6): creating a network draws torch's default weight and bias for every Linear
layer; then the layers are drawn again, in order, from the Glorot uniform law, with zero bias.
"""

import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Linear = tuple[torch.Tensor, torch.Tensor]  # weight (fan_out, fan_in), bias (fan_out,)


def default_linear(n_in: int, n_out: int, generator: "torch.Generator") -> "Linear":
    """Returns (weight (n_out, n_in), bias (n_out,)) as torch's own Linear would draw them, both uniform in
    ±1/√n_in.
    """
    import torch

    weight = torch.empty(n_out, n_in)
    torch.nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(n_in)
    return weight, torch.empty(n_out).uniform_(-bound, bound, generator=generator)


def glorot_mlp(sizes: tuple[int, ...], generator: "torch.Generator") -> "list[Linear]":
    """Returns the layers of an MLP: weights uniform in ±√(6/(fan_in+fan_out)), zero bias.

    The default draw comes first and is thrown away: it moves the generator as creating the original's
    network does.
    """
    import torch

    layers = [default_linear(n_in, n_out, generator) for n_in, n_out in itertools.pairwise(sizes)]
    for weight, bias in layers:
        bound = math.sqrt(3) * math.sqrt(2 / (weight.shape[0] + weight.shape[1]))
        torch.nn.init.uniform_(weight, -bound, bound, generator=generator)
        bias.zero_()
    return layers
