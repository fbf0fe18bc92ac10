"""UCL's two terms for one layer, written once for torch (PPO) and TensorFlow (supervised).

Ahn et al. 2019 (Uncertainty-regularised Continual Learning), equation 8, per layer:
    1/2 |Λ (mu - mu')|² + s0² |(mu' / s')² (mu - mu')|_1 + beta/2 · sum (s²/s'² - log s²/s'² + s² - log s²),
s the deviation that all weights into one node share, s0 at the start, a dash for the end of the last task,
and Λ for a weight the larger s0/s' of the two nodes it joins.  `xp` is the library that the arrays belong to:
torch, tensorflow.experimental.numpy or numpy.
"""

from typing import Any

Array = Any


def spread(xp: Any, sigma: Array, old: Array) -> Array:
    """Returns sum (s²/s'² - log s²/s'² + s² - log s²), a scalar: least near s', and drawn up towards 1.

    Args: sigma, old — deviations of the nodes, one shape.
    """
    ratio = (sigma / old) ** 2
    return xp.sum(ratio - xp.log(ratio) + sigma**2 - xp.log(sigma**2))


def drift(xp: Any, mu: Array, old: Array, sigma_old: Array, hold: Array, initial: float) -> Array:
    """Returns 1/2 |Λ (mu - mu')|² + s0² |(mu' / s')² (mu - mu')|_1, a scalar: 0 where nothing has moved.

    Args: mu, old — means, one shape; sigma_old, hold — s' and Λ, to be broadcast to it; initial — s0.
    """
    moved = mu - old
    squared = 0.5 * xp.sum((hold * moved) ** 2)
    return squared + initial**2 * xp.sum(xp.abs((old / sigma_old) ** 2 * moved))
