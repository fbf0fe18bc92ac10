"""Whether a classifier has diverged: its answers then mean nothing, though an argmax still names a class."""

# A cross-entropy of a million, where guessing has log(classes).  At an absurd rate every hidden unit may be
# dead and all weights still be finite numbers.
DIVERGED = 1e6


def check_size(largest: float, what: str, cure: str, *, drifted: bool = False) -> None:
    """Look at the largest absolute output of a network, or at its mean loss on test examples.

    Args: what — for the message, e.g. "the network's outputs for task 1"; cure — e.g. "lower --lr";
        drifted — the examples are of an earlier task and the network normalises by running means, which have
        moved on with the later tasks: outputs of any size for them are forgetting, not divergence (RMSProp on
        Split CIFAR-100 reached 1.9e6 on a task learnt long before).
    Raises: FloatingPointError if it is no number, infinite, or, unless `drifted`, beyond `DIVERGED`.
    """
    if not abs(largest) < (float("inf") if drifted else DIVERGED):
        raise FloatingPointError(f"the network has diverged: {what} reach {largest:.3g}; {cure}")
