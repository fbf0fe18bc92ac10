"""TAG's step in torch's operations, for devices, types and layouts that the compiled step does not take; over
all tensors at once where that can be, because most tensors of a network are small.
"""

import torch
from torch import Tensor

from tag_repro.optim.tag_state import Numbers, State


def step(params: list[Tensor], states: list[State], numbers: Numbers) -> None:
    """Move the tensors, which all have a gradient, and note the weights."""
    gradients = [_gradient(p, state["m"].dtype, numbers) for p, state in zip(params, states, strict=True)]
    moments, squares = [state["m"] for state in states], [state["v"] for state in states]
    torch._foreach_mul_(moments, numbers.beta1)
    torch._foreach_add_(moments, gradients, alpha=1 - numbers.beta1)
    if numbers.beta2 != 1:
        torch._foreach_mul_(squares, numbers.beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, value=numbers.new)
    totals = _totals(states, numbers.own, numbers.b)
    torch._foreach_sqrt_(totals)
    if numbers.late != 1:
        torch._foreach_mul_(totals, numbers.late)
    torch._foreach_add_(totals, numbers.eps)
    for p, top, total in zip(params, moments if numbers.tops_m else gradients, totals, strict=True):
        move = (top / total).mul_(numbers.rate)
        if numbers.most < float("inf"):
            move.clamp_(-numbers.most, numbers.most)
        p.sub_(move.view_as(p).to(p.dtype))


def _gradient(p: Tensor, dtype: torch.dtype, numbers: Numbers) -> Tensor:
    """The gradient, flat and in the state's type, with its sign and the decay."""
    assert p.grad is not None
    g = p.grad.reshape(-1).to(dtype)
    if numbers.sign != 1 or numbers.decay:
        g = torch.add(g * numbers.sign, p.reshape(-1).to(dtype), alpha=numbers.decay)
    return g


def _totals(states: list[State], own: float, b: float) -> list[Tensor]:
    """Returns own V + sum over finished tasks of alpha_s V_s for every tensor, and notes the alphas."""
    totals = []
    for state, alpha in zip(states, _alphas(states, b), strict=True):
        if not len(alpha):
            totals.append(state["v"] * own)
            continue
        state["alpha_sum"] = state.get("alpha_sum", 0.0) + alpha
        state["steps"] = state.get("steps", 0) + 1
        old = state["v_old"].to(state["v"].dtype)
        totals.append(torch.addmv(state["v"], old.t(), alpha.to(old.dtype), beta=own))
    return totals


def _alphas(states: list[State], b: float) -> list[Tensor]:
    """Returns exp(-b c_s), c_s = <m/|m|, u_s>, for every tensor, float64 (its old tasks,); c = 0 where m = 0.
    Without a branch that would wait for a GPU.
    """
    counts = [len(state["u_old"]) if "u_old" in state else 0 for state in states]
    if not any(counts):
        return [torch.empty(0)] * len(states)
    moments = [state["m"] for state in states]
    dots = [state["u_old"].to(m.dtype) @ m for state, m, n in zip(states, moments, counts, strict=True) if n]
    norms = torch.stack(torch._foreach_norm(moments)).double()
    scale = torch.where(norms > 0, 1 / norms, torch.zeros_like(norms))
    each = scale.repeat_interleave(torch.tensor(counts, device=scale.device), output_size=sum(counts))
    return list(torch.split(torch.exp(-b * torch.cat(dots).double() * each).clamp_(1e-30, 1e30), counts))
