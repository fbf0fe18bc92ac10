"""Whether a classifier has diverged: its answers then mean nothing, though an argmax still names a class."""

# A cross-entropy of a million, where guessing has log(classes).  At an absurd rate every hidden unit may be
# dead and all weights still be finite numbers.
DIVERGED = 1e6


def check_size(largest: float, what: str, cure: str) -> None:
    """Look at the largest absolute output of a network, or at its mean loss on test examples.

    Args: what — for the message, e.g. "the network's outputs for task 1"; cure — e.g. "lower --lr".
    Raises: FloatingPointError if it is no number, infinite, or beyond `DIVERGED`.
    """
    if not abs(largest) < DIVERGED:
        raise FloatingPointError(f"the network has diverged: {what} reach {largest:.3g}; {cure}")
