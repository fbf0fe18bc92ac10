"""A-GEM in torch: gradients as flat vectors, and the projection of one against that of the past.

    g = flat_gradient(loss(batch), parameters)
    r = flat_gradient(loss(remembered), parameters)
    set_gradient(parameters, project(g, r))
    optimizer.step()

Source: Chaudhry et al. 2019 (A-GEM).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clrepro.kernels.limits import product_limits

if TYPE_CHECKING:
    import torch


def flat_gradient(loss: "torch.Tensor", parameters: "Sequence[torch.Tensor]") -> "torch.Tensor":
    """Returns the gradient of a loss as one vector (n_parameters,), zeros where it does not depend on one.

    The parameters' .grad stay as they are.
    """
    import torch

    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    parts = zip(parameters, found, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in parts])


def set_gradient(parameters: "Sequence[torch.Tensor]", vector: "torch.Tensor") -> None:
    """Write a flat vector (n_parameters,) into the parameters' .grad.

    Raises: ValueError for another length.
    """
    import torch

    sizes = [p.numel() for p in parameters]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"vector of {tuple(vector.shape)}; the model has {sum(sizes)} parameters")
    for p, part in zip(parameters, torch.split(vector, sizes), strict=True):
        p.grad = part.view_as(p).clone()


def project(g: "torch.Tensor", reference: "torch.Tensor") -> "torch.Tensor":
    """Returns g (n,), or the vector nearest to it that has no part against reference (n,).

    g - (g.r / r.r) r where g.r < 0; g itself where r is 0.
    Source: Chaudhry et al. 2019, equation 11.
    """
    import torch

    inner, square = torch.dot(g, reference), torch.dot(reference, reference)
    held = _held(g, float(square), abs(float(inner)))
    # An inner product of about 0 is a true one where both lengths are held.
    if not held and not _held(g, float(square), float(torch.dot(g, g))):
        sizes = float(g.abs().max()), float(reference.abs().max())
        if all(0 < size < float("inf") for size in sizes):
            return _projected_apart(g, reference, *sizes)
    if float(inner) >= 0 or float(square) == 0:
        return g
    return g - (inner / square) * reference


def _held(like: "torch.Tensor", *products: float) -> bool:
    """Whether sums of products in this tensor's type are what they seem to be."""
    import torch

    limits = torch.finfo(like.dtype)
    low, high = product_limits(limits.tiny, limits.max)
    return all(low <= value <= high for value in products)


def _projected_apart(g: "torch.Tensor", r: "torch.Tensor", g_size: float, r_size: float) -> "torch.Tensor":
    """As `project`, from vectors brought to size 1 in float64."""
    import torch

    a, b = g.double() / g_size, r.double() / r_size
    inner = torch.dot(a, b)
    if float(inner) >= 0:
        return g
    return ((a - inner / torch.dot(b, b) * b) * g_size).to(g.dtype)
