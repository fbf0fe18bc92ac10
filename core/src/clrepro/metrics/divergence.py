"""Whether a classifier has diverged: its answers then mean nothing, though an argmax still names a class."""

# A cross-entropy of a million, where guessing has log(classes).  At an absurd rate every hidden unit may be
# dead and all weights still be finite numbers.
DIVERGED = 1e6


def check_size(largest: float, what: str, cure: str, *, normalised: bool = False) -> None:
    """Look at the largest absolute output of a network, or at its mean loss on test examples.

    Args: what — for the message, e.g. "the network's outputs for task 1"; cure — e.g. "lower --lr";
        normalised — the network divides by running variances, not by those of the examples: its outputs
        for some of them may be of any size while it learns (1.9e6 in the authors' own RMSProp line on Split
        CIFAR-100); look at its training loss as well.
    Raises: FloatingPointError if it is no number, infinite, or, unless `normalised`, beyond `DIVERGED`.
    """
    if not abs(largest) < (float("inf") if normalised else DIVERGED):
        raise FloatingPointError(f"the network has diverged: {what} reach {largest:.3g}; {cure}")
