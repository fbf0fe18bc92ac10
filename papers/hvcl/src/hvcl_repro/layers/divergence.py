"""The terms of the hierarchical objective: pure functions of tensors, in the dtype of their arguments.

Notation of the paper's method section as the spec gives it: experts m = 1..n, posterior N(mu, sigma²) per
weight, prior N(mu_0, sigma_0²), gate probabilities p(m|x).  The expert axis is the last one as in the
weights, but for distances, where it comes first.
"""

import math
from typing import Any

import tensorflow as tf

Tensor = Any
# Above this many experts the determinant underflows, so its logarithm is used.
DET_UP_TO = 8
JITTER = 1e-6
# Of a deviation, relative to weights of about 1: below it single precision draws the mean itself.
SMALLEST = 1e-7


def gaussian_kl(mu: Tensor, sigma: Tensor, mu_0: Tensor, sigma_0: Tensor) -> Tensor:
    """Returns the sum over all weights of KL(N(mu, sigma²) || N(mu_0, sigma_0²)), a scalar.

    Args: mu, mu_0 — (rows, ..., n); sigma, sigma_0 — of that shape, or without its first axes where one scale
    is shared along them.
    Source: spec 4.2: log(s0/s) + (s² + (mu - mu0)²) / (2 s0²) - 1/2.
    Differs from it: a deviation counts as SMALLEST or more, or squares of it leave single precision.
    """
    sigma, sigma_0 = _held_up(sigma), _held_up(sigma_0)
    ratio = sigma / sigma_0
    scale = 0.5 * tf.square(ratio) - 0.5 - tf.math.log(ratio)
    distance = tf.square(mu - mu_0)
    shared = len(mu.shape) - len(sigma.shape)
    if shared:
        # One scale per row group: the sum over rows first, so the big array is read once.
        scale = scale * math.prod(mu.shape[:shared])
        distance = tf.reduce_sum(distance, axis=list(range(shared)))
    return tf.reduce_sum(scale + 0.5 * distance / tf.square(sigma_0))


def _held_up(sigma: Tensor) -> Tensor:
    """Returns sigma, no smaller than SMALLEST, with sigma's own gradient, so that it can rise again."""
    return sigma + tf.stop_gradient(tf.maximum(SMALLEST - sigma, 0.0))


def gate_kl(logits: Tensor, logits_0: Tensor) -> Tensor:
    """Returns mean_b KL(softmax(logits_b) || softmax(logits_0b)), (B, n) each; always finite."""
    log_p, log_p_0 = tf.nn.log_softmax(logits), tf.nn.log_softmax(logits_0)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(log_p) * (log_p - log_p_0), axis=-1))


def entropy(p: Tensor) -> Tensor:
    """Returns -sum p log p over the last axis; 0 log 0 = 0."""
    return -tf.reduce_sum(tf.math.xlogy(p, p), axis=-1)


def conditional_entropy(logits: Tensor) -> Tensor:
    """Returns mean_b H(softmax(logits_b)), logits (B, n)."""
    log_p = tf.nn.log_softmax(logits)
    return -tf.reduce_mean(tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1))


def mutual_information(logits: Tensor) -> Tensor:
    """Returns I(m; x) = H(mean_b p_b) - mean_b H(p_b), between 0 and log n, logits (B, n)."""
    return entropy(tf.reduce_mean(tf.nn.softmax(logits), axis=0)) - conditional_entropy(logits)


def wasserstein(mu: Tensor, sigma: Tensor) -> Tensor:
    """Returns (n, n): squared 2-Wasserstein distances between the experts' diagonal Gaussians.

    W_ij = |mu_i - mu_j|² + sum over weights of (sigma_i - sigma_j)².
    Args: mu — (n, rows, ...), the experts first; sigma — of that shape, or without the axes from the rows on
    that share one scale.
    """
    rows = math.prod(mu.shape[1 : 1 + len(mu.shape) - len(sigma.shape)])
    return pairwise(mu) + rows * pairwise(sigma)


def pairwise(values: Tensor) -> Tensor:
    """Returns (n, n) squared Euclidean distances between the slices [i] of (n, ...)."""
    flat = tf.reshape(values, (values.shape[0], -1))
    # Centred, so that close experts far from the origin keep their digits; equal ones give exactly 0.
    flat = flat - tf.reduce_mean(flat, axis=0)
    gram = tf.matmul(flat, flat, transpose_b=True)
    own = tf.linalg.diag_part(gram)
    return tf.maximum(own[:, None] + own[None, :] - 2.0 * gram, 0.0)


def original_distance(mu: Tensor, sigma: Tensor, *, mean_rows: bool) -> Tensor:
    """Returns (n, n): the original's distance: sigma taken for a variance, its part not squared.

    Args: mu, sigma — as in `wasserstein`; mean_rows — the convolutional version averages the difference of
    means over its first axis.
    """
    mean = tf.reduce_mean(mu, axis=1) if mean_rows else mu
    return pairwise(mean) + tf.sqrt(pairwise(tf.sqrt(sigma + 1e-6)) + 1e-4)


def experts_first(values: Tensor) -> Tensor:
    """Returns (n, ...) from (..., n)."""
    last = len(values.shape) - 1
    return tf.transpose(values, [last, *range(last)])


def kernel(distance: Tensor, width: float) -> Tensor:
    """Returns K (n, n): exp(-W / width) with a diagonal of exactly 1."""
    k = tf.exp(-distance / tf.cast(width, distance.dtype))
    return tf.linalg.set_diag(k, tf.ones_like(tf.linalg.diag_part(k)))


def diversity(k: Tensor) -> Tensor:
    """Returns det K in [0, 1], or log det K for more than eight experts: large where experts differ.

    Source: determinantal point processes; spec 4.2.
    """
    n = int(k.shape[0])
    if n <= DET_UP_TO:
        return tf.linalg.det(k)
    lower = tf.linalg.cholesky(k + JITTER * tf.eye(n, dtype=k.dtype))
    return 2.0 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(lower)))


def auto_scale(fan_out_units: int, n_experts: int) -> float:
    """Returns the factor that brings He-initialised experts to the distance the kernel width was made for.

    Under He-uniform E|mu_i - mu_j|² = 4 · units for any layer, at which exp(-W/10) has neither value nor
    gradient; under the original's initialiser it was 4n/3.  The factor is the quotient n / (3 · units).
    Source: spec 4.2, scale note.
    """
    return n_experts / (3.0 * fan_out_units)
