"""The squashed Gaussian of soft actor-critic: a = tanh(u), u ~ N(mu, sigma²), and log pi(a)."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

LOG_SIGMA = (-20.0, 2.0)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def split(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (mu, log sigma), both (B, A), of network outputs (B, 2A); log sigma clipped to [-20, 2]."""
    mu, log_sigma = outputs.chunk(2, dim=-1)
    return mu, log_sigma.clamp(*LOG_SIGMA)


def squash(mu: Tensor, log_sigma: Tensor, noise: Tensor, faithful: bool = False) -> tuple[Tensor, Tensor]:
    """Returns (action (B, A) in (-1, 1), its log density (B,)).

    Args: noise — standard normal (B, A); faithful — the original's correction of tanh.
    Source: log pi = sum_d [log N(u_d) - 2 (log 2 - u_d - softplus(-2 u_d))].
    Differs from the original: it subtracts 2 log 2 - u - softplus(-2u), the last two terms once too few.
    """
    u = torch.addcmul(mu, log_sigma.exp(), noise)
    tail = u + softplus(-2 * u)
    correction = 2 * math.log(2) - tail if faithful else 2 * (math.log(2) - tail)
    log_pi = (-0.5 * noise.square() - log_sigma - _HALF_LOG_2PI - correction).sum(-1)
    return torch.tanh(u), log_pi
