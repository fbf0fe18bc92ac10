"""Soft actor-critic in pure functions: densities, targets and losses.  Spec 4.5; Haarnoja et al. 2018."""

import math
from typing import Any

import tensorflow as tf

Tensor = Any
MUNCHAUSEN = (0.9, 0.03, -1.0)  # weight, temperature, lower clip; Vieillard et al. 2020
INSIDE = 1.0 - 1e-6


def squash_log_det(u: Tensor) -> Tensor:
    """Returns log(1 - tanh(u)²) elementwise, stable for any u: 2 (log 2 - u - softplus(-2u))."""
    return 2.0 * (math.log(2.0) - u - tf.nn.softplus(-2.0 * u))


def log_prob(u: Tensor, mean: Tensor, log_std: Tensor, mask: Tensor) -> Tensor:
    """Returns (B,): log density of tanh(u), u ~ N(mean, exp(log_std)²), over the unmasked axes.

    Args: u, mean, log_std — (B, d); mask — (d,), 1 for the environment's own actions.
    """
    normal = -0.5 * tf.square((u - mean) * tf.exp(-log_std)) - log_std - 0.5 * math.log(2.0 * math.pi)
    return tf.reduce_sum(mask * (normal - squash_log_det(u)), axis=-1)


def unsquash(action: Tensor) -> Tensor:
    """Returns u with tanh(u) = action, finite at the borders."""
    return tf.math.atanh(tf.clip_by_value(action, -INSIDE, INSIDE))


def munchausen(log_pi: Tensor) -> Tensor:
    """Returns the bonus in [-0.9, 0] for the log density of the action taken."""
    weight, temperature, low = MUNCHAUSEN
    return weight * tf.clip_by_value(temperature * log_pi, low, 0.0)


def td_target(
    reward: Tensor, terminal: Tensor, gamma: float, q: Tensor, alpha: Tensor, log_pi: Tensor
) -> Tensor:
    """Returns r + gamma (1 - d) (q - alpha log pi), (B,) each; d is 1 only where the task itself ended."""
    return reward + gamma * (1.0 - terminal) * (q - alpha * log_pi)


def huber(error: Tensor) -> Tensor:
    """Returns Huber's loss of width 1, elementwise."""
    size = tf.abs(error)
    return tf.where(size <= 1.0, 0.5 * tf.square(error), size - 0.5)


def alpha_loss(alpha: Tensor, log_pi: Tensor, target_entropy: Tensor) -> Tensor:
    """Returns -alpha · mean(log pi + target entropy): falls when alpha rises while the entropy is too low."""
    return -alpha * tf.reduce_mean(tf.stop_gradient(log_pi + target_entropy))
