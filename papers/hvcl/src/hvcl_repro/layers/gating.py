"""Which experts an example goes to, and with which weight: top-k gates from logits."""

from typing import Any

import tensorflow as tf

Tensor = Any
NEVER = -1e9  # the logit of an expert that is already drawn
DETERMINISTIC_ABOVE = 10  # the original draws for k up to ten


def clipped_k(k: int | str, n_experts: int) -> int:
    """Returns k as a number of experts: "all" is n, and no more than n.

    Raises: ValueError for anything but "all" or an integer of 1 or more.
    """
    if k == "all":
        return n_experts
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k {k!r}: 'all', or experts per example, 1 or more")
    return min(k, n_experts)


def top_k_gates(logits: Tensor, k: int, gumbel: Tensor | None) -> Tensor:
    """Returns gates (B, n): exactly k positive weights per row that sum to 1.

    Args: logits — (B, n); gumbel — (B, n) standard Gumbel noise: k experts drawn without replacement in
    proportion to softmax(logits) (Plackett-Luce); None: the k most probable.
    For k >= 2 the weights are the probabilities renormalised on the chosen set; for k = 1 the weight is
    p / stop(p): 1, with the gradient of log p, so the task's loss reaches the gate; without noise it is 1 and
    constant.
    Source: spec 4.3.
    Differs from the original: see `original_gates`.
    """
    n = int(logits.shape[-1])
    p = tf.nn.softmax(logits)
    if k >= n > 1:
        return p
    score = logits if gumbel is None else logits + gumbel
    chosen = tf.math.top_k(score, k).indices
    mask = tf.reduce_sum(tf.one_hot(chosen, n, dtype=logits.dtype), axis=1)
    if k == 1 and gumbel is None:
        # Nothing is drawn, so log p carries no news of what another expert would have done: with its gradient
        # a policy that climbs a critic would climb the gate's confidence instead of the value.
        return tf.stop_gradient(mask)
    if k == 1:
        # exp(log p - stop(log p)) instead of a quotient: no 0 / 0 where p underflows.
        log_p = tf.nn.log_softmax(logits)
        return mask * tf.exp(log_p - tf.stop_gradient(log_p))
    # Softmax over the chosen ones alone is the renormalised probability.
    return mask * tf.nn.softmax(
        tf.where(mask > 0, logits, tf.fill(tf.shape(logits), tf.cast(NEVER, p.dtype)))
    )


def original_gates(logits: Tensor, k: int, gumbel: Tensor) -> Tensor:
    """Returns gates (B, n) as the original weighs them: softmax over conditional log-probabilities.

    At k = 1 that is the constant 1; at k = n = 2 the second draw always weighs more than one half.
    Source: spec 3.4.
    """
    n = int(logits.shape[-1])
    score = logits if k > DETERMINISTIC_ABOVE else logits + gumbel
    chosen = tf.math.top_k(score, k).indices
    left, values = logits, []
    for draw in range(k):
        taken = tf.one_hot(chosen[:, draw], n, dtype=logits.dtype)
        values.append(tf.reduce_sum(taken * tf.nn.log_softmax(left), axis=-1))
        left = left + NEVER * taken
    weights = tf.nn.softmax(tf.stack(values, axis=-1))
    one_hot = tf.one_hot(chosen, n, dtype=logits.dtype)
    return tf.reduce_sum(one_hot * weights[..., None], axis=1)
