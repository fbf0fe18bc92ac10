"""Between which sizes sums of products of two floats are taken as they come out."""

_MARGIN = 1e12  # so that a million terms below the smallest number of the type do not matter either


def product_limits(tiny: float, largest: float) -> tuple[float, float]:
    """Returns (low, high): a sum of products between them lost nothing that matters to under- or overflow.

    In float32 these are the squares of lengths from 1e-13 to 2e13.
    Args: tiny — the smallest normal number of the type; largest — the largest.
    """
    return tiny * _MARGIN, largest / _MARGIN
