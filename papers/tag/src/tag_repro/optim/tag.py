"""TAG: step sizes that follow how the present task's gradients agree with those of the tasks before it."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

BETAS = {"rms": (0.9, 0.99), "adagrad": (0.9, 1.0), "adam": (0.9, 0.999)}
VARIANTS = tuple(BETAS)


class TAG(Optimizer):
    r"""Task-based accumulated gradients.

    Per parameter tensor, with gradient g, in task t (from 0), step n of the task (from 0):
        M <- b1 M + (1-b1) g;  V <- b2 V + (1-b2) g^2 (adagrad: V + g^2), both from 0 in every task;
        c_s = <M/|M|, U_s>, U_s = M/|M| at the end of task s;
        a_s = exp(-b c_s), a_t = exp(-b), or 1 if t = 0;  D = sqrt(sum_{s<t} a_s V_s + a_t V);
        rms, adagrad: p <- p - lr g / (D + eps);
        adam: p <- p - lr M/(1-b1^(n+1)) / (D/sqrt(1-b2^(n+1)) + eps).
    So a task that agrees is nearly ignored, one that opposes shrinks the step, and entries that no old task
    touched move at exp(b/2) times the rate: choose lr some twenty times below RMSProp's for b = 5.

    Args: params — tensors, (name, tensor) pairs or groups, which may have their own lr, b, betas and eps;
        variant — "rms", "adagrad" or "adam"; b — sharpness, any number; betas — (b1, b2);
        eps — outside the root; state_dtype — of the finished tasks' directions, default the parameter's:
        torch.float16 saves a quarter; correct_current_only — adam: divide by 1-b2^(n+1) only the present
        task's V, not the old ones'.
    Raises: ValueError for an unknown variant or a number out of range.
    A task is what lies between `begin_task` and `end_task`; the first begins by itself.  A tensor without a
    gradient, or with none but zero ones, has c = 0.
    State: 2 (t+1) floats per parameter.
    Source: Malviya, Ravindran and Chandar 2022, algorithm 1.
    Differs from the published code: n counts the steps of the task, not of the epoch (`restart_correction`
    gives that), and a zero gradient does not make the weights nan.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        variant: str = "rms",
        b: float = 5.0,
        betas: tuple[float, float] | None = None,
        eps: float = 1e-8,
        state_dtype: torch.dtype | None = None,
        *,
        correct_current_only: bool = False,
    ) -> None:
        if variant not in BETAS:
            raise ValueError(f"variant {variant!r}: one of {', '.join(VARIANTS)}")
        betas = BETAS[variant] if betas is None else betas
        if lr < 0 or eps < 0 or not all(0 <= beta <= 1 for beta in betas):
            raise ValueError(f"lr {lr}, eps {eps}, betas {betas}: lr and eps 0 or more, betas in 0..1")
        self.variant, self.state_dtype, self.correct_current_only = variant, state_dtype, correct_current_only
        # `task` and `n` stand in every group, so that state_dict carries them.
        defaults = {"lr": lr, "b": b, "betas": betas, "eps": eps, "task": -1, "n": 0, "open": False}
        super().__init__(params, defaults)

    @property
    def num_tasks_seen(self) -> int:
        """Tasks begun so far."""
        return int(self.param_groups[0]["task"]) + 1

    def begin_task(self) -> None:
        """Start a task: M and V start at zero.

        Raises: RuntimeError if the task before it was not ended.
        """
        if self.param_groups[0]["open"]:
            raise RuntimeError(f"task {self.num_tasks_seen - 1} is not over: call end_task first")
        for group in self.param_groups:
            group.update(task=group["task"] + 1, n=0, open=True)
            for p in group["params"]:
                for key in ("m", "v", "alpha_sum"):
                    self.state[p].pop(key, None)
                self.state[p]["steps"] = 0

    def end_task(self) -> None:
        """Keep the direction and the second moment of the task's end.

        Raises: RuntimeError if no task is going on or it had no step.
        """
        first = self.param_groups[0]
        if not first["open"] or not first["n"]:
            raise RuntimeError("end_task: no task is going on, or it had no step")
        for group in self.param_groups:
            group["open"] = False
            for p in group["params"]:
                state = self.state[p]
                empty = torch.zeros(p.numel(), dtype=p.dtype, device=p.device)
                direction = _direction(state.pop("m", empty)).to(self.state_dtype or p.dtype)
                for old, new in (("u_old", direction), ("v_old", state.pop("v", empty))):
                    state[old] = torch.cat([state[old], new[None]]) if old in state else new[None]

    def restart_correction(self) -> None:
        """Count the steps of adam's correction from 0 again, as the published code does in every epoch."""
        for group in self.param_groups:
            group["n"] = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step with the gradients at hand; returns what closure returns.

        Raises: RuntimeError between end_task and begin_task.
        """
        if not self.param_groups[0]["open"]:
            if self.num_tasks_seen:
                raise RuntimeError(f"task {self.num_tasks_seen - 1} is over: call begin_task before step")
            self.begin_task()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["n"] += 1
            if params := [p for p in group["params"] if p.grad is not None]:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Move all tensors of a group that have a gradient; operations go over all of them at once where they
        can, because most tensors of a network are small.
        """
        if any(p.grad is None or p.grad.is_sparse for p in params):
            raise RuntimeError("TAG needs dense gradients")
        states = [self.state[p] for p in params]
        gradients = [p.grad.reshape(-1) for p in params if p.grad is not None]
        for state, g in zip(states, gradients, strict=True):
            if "m" not in state:
                state["m"], state["v"] = torch.zeros_like(g), torch.zeros_like(g)
        moments, squares = [state["m"] for state in states], [state["v"] for state in states]
        beta1, beta2 = group["betas"]
        torch._foreach_mul_(moments, beta1)
        torch._foreach_add_(moments, gradients, alpha=1 - beta1)
        if self.variant != "adagrad":
            torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(
            squares, gradients, gradients, value=1.0 if self.variant == "adagrad" else 1 - beta2
        )
        own, late, rate, tops = math.exp(-group["b"]) if group["task"] else 1.0, 1.0, group["lr"], gradients
        if self.variant == "adam":
            late, rate, tops = 1 - beta2 ** group["n"], rate / (1 - beta1 ** group["n"]), moments
        if self.correct_current_only:
            own, late = own / late, 1.0
        totals = self._totals(states, own, group["b"])
        torch._foreach_sqrt_(totals)
        if late != 1:
            torch._foreach_div_(totals, math.sqrt(late))
        torch._foreach_add_(totals, group["eps"])
        pairs = [
            (top.view_as(p), total.view_as(p)) for p, top, total in zip(params, tops, totals, strict=True)
        ]
        torch._foreach_addcdiv_(params, [top for top, _ in pairs], [d for _, d in pairs], value=-rate)

    def _totals(self, states: list[dict[str, Any]], own: float, b: float) -> list[Tensor]:
        """Returns own V + sum over finished tasks of alpha_s V_s for every tensor, and notes the alphas."""
        alphas = _alphas(states, b)
        totals = []
        for state, alpha in zip(states, alphas, strict=True):
            if not len(alpha):
                totals.append(state["v"] * own)
                continue
            state["alpha_sum"] = state.get("alpha_sum", 0.0) + alpha
            state["steps"] = state.get("steps", 0) + 1
            totals.append(torch.addmv(state["v"], state["v_old"].t(), alpha.to(state["v"].dtype), beta=own))
        return totals

    def alphas(self, reduce: str | None = "mean") -> Any:
        """Returns the weights of the finished tasks in the present or last task, averaged over its steps.

        Args: reduce — "mean": float64 (old tasks,), also averaged over tensors; None: {name: (old tasks,)},
            names as given to the constructor, else numbers.  Empty in the first task.
        """
        found: dict[str, NDArray[np.float64]] = {}
        number = 0
        for group in self.param_groups:
            names = group.get("param_names", [])
            for place, p in enumerate(group["params"]):
                state = self.state[p]
                if "alpha_sum" in state:
                    mean = state["alpha_sum"].detach().cpu().numpy() / state["steps"]
                    found[names[place] if names else str(number)] = mean
                number += 1
        if reduce is None:
            return found
        if reduce != "mean":
            raise ValueError(f"reduce {reduce!r}: 'mean' or None")
        return np.mean(list(found.values()), axis=0) if found else np.empty(0)

    def memory_bytes(self) -> int:
        """Returns the bytes of all state tensors."""
        tensors = (value for state in self.state.values() for value in state.values())
        return sum(value.nbytes for value in tensors if isinstance(value, Tensor))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, bit for bit; torch alone would cast all to the
        parameters' dtype.
        """
        super().load_state_dict(state_dict)
        order = [number for group in state_dict["param_groups"] for number in group["params"]]
        own = [p for group in self.param_groups for p in group["params"]]
        for number, p in zip(order, own, strict=True):
            for key, value in state_dict["state"].get(number, {}).items():
                if isinstance(value, Tensor):
                    self.state[p][key] = value.detach().clone().to(p.device)


def _direction(m: Tensor) -> Tensor:
    """m / |m|, or zeros for zeros."""
    norm = torch.linalg.vector_norm(m)
    return m * torch.where(norm > 0, 1 / norm, torch.zeros_like(norm))


def _alphas(states: list[dict[str, Any]], b: float) -> list[Tensor]:
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
    return list(torch.split(torch.exp(-b * torch.cat(dots).double() * each), counts))
