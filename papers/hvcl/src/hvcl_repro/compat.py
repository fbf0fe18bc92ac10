"""Which of the original's ways come back: `compat` is "fixed", "original", or parts of it joined by "+".

So that the effect of every single difference can be measured (README, "Differences from the original").
"""

LAYER_PARTS = (
    "gate",  # at k = 1 no gradient reaches it, at k >= 2 conditional log-probabilities weigh
    "entropy",  # both entropies of the gate are added to the loss
    "initializer",  # fans of the whole stack
    "distance",  # variances for deviations, not scaled: dead with wide layers
    "evaluation",  # noise and drawn experts at evaluation
)
RL_PARTS = (
    "munchausen",  # the density with tanh(mean) and the deviation for its logarithm
    "padding",  # padded actions count, the target entropy is -8
    "critic",  # the second one has no KL terms
    "terminal",  # a time limit is an end, and the stored next state is the next episode's
    "slices",  # all environments are reset every hundred steps
    "actions",  # evaluation draws them
)
PARTS = LAYER_PARTS + RL_PARTS


def undone(compat: str) -> frozenset[str]:
    """Returns the parts that are the original's.  Raises: ValueError for an unknown word."""
    if compat in ("fixed", "original"):
        return frozenset(PARTS if compat == "original" else ())
    words = compat.split("+")
    if unknown := [word for word in words if word not in PARTS]:
        raise ValueError(f"compat {unknown[0]!r}: fixed, original, or some of {', '.join(PARTS)} joined by +")
    return frozenset(words)
