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
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)
        return loss

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        if p.grad is None or p.grad.is_sparse:
            raise RuntimeError("TAG needs dense gradients")
        state, g = self.state[p], p.grad.reshape(-1)
        if "m" not in state:
            state["m"], state["v"] = torch.zeros_like(g), torch.zeros_like(g)
        (beta1, beta2), m, v = group["betas"], state["m"], state["v"]
        m.mul_(beta1).add_(g, alpha=1 - beta1)
        if self.variant == "adagrad":
            v.addcmul_(g, g)
        else:
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        own = math.exp(-group["b"]) if group["task"] else 1.0
        adam, late = self.variant == "adam", 1.0
        if adam:
            late = 1 - beta2 ** group["n"]
            own = own / late if self.correct_current_only else own
        total = v * own
        if "u_old" in state:
            alpha = torch.exp(-group["b"] * _correlations(m, state["u_old"]))
            state["alpha_sum"] = state.get("alpha_sum", 0.0) + alpha
            state["steps"] = state.get("steps", 0) + 1
            total += alpha.to(v.dtype) @ state["v_old"]
        total.sqrt_()
        if adam and not self.correct_current_only:
            total.div_(math.sqrt(late))
        total.add_(group["eps"])
        rate, top = group["lr"], g
        if adam:
            rate, top = rate / (1 - beta1 ** group["n"]), m
        p.addcdiv_(top.view_as(p), total.view_as(p), value=-rate)

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


def _correlations(m: Tensor, u_old: Tensor) -> Tensor:
    """<m/|m|, u_s> for every row, float64 (old tasks,); 0 for m = 0.  Without a branch that would wait for a
    GPU.
    """
    norm = torch.linalg.vector_norm(m)
    scale = torch.where(norm > 0, 1 / norm, torch.zeros_like(norm))
    return (u_old.to(m.dtype) @ m * scale).double()
