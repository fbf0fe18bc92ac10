"""TAG: step sizes that follow how the present task's gradients agree with those of the tasks before it."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from tag_repro.optim import tag_state, tag_torch

BETAS = {"rms": (0.9, 0.99), "adagrad": (0.9, 1.0), "adam": (0.9, 0.999)}
VARIANTS = tuple(BETAS)
_OWN = ("variant", "state_dtype", "correct_current_only", "compiled")  # beside what torch's Optimizer keeps


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
    Weights are kept in 1e-30..1e30, so that no sharpness makes a sum infinite.

    Args: params — tensors, (name, tensor) pairs or groups, which may have their own lr, b, betas, eps,
        weight_decay, maximize and max_step; variant — "rms", "adagrad" or "adam"; b — sharpness, any number;
        betas — (b1, b2); eps — outside the root; state_dtype — of finished tasks: torch.bfloat16 (directions
        and second moments, half the memory) or torch.float16 (directions alone, a quarter), default that
        of the rest of the state; correct_current_only — adam: divide by 1-b2^(n+1) only the present task's
        V, not the old ones'; weight_decay — times p is added to g; maximize — go up; max_step — no entry
        moves further in a step than lr times this; compiled — use the compiled step where it can be:
        float32 on a CPU, contiguous.
    Raises: ValueError for an unknown variant or a number out of range or nan.
    A task is what lies between `begin_task` and `end_task`; the first begins by itself.  A tensor without a
    gradient, or with none but zero ones, has c = 0.
    State: 2 (t+1) floats per parameter, float32 for parameters of half precision.
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
        weight_decay: float = 0.0,
        maximize: bool = False,
        max_step: float | None = None,
        compiled: bool = True,
    ) -> None:
        if variant not in BETAS:
            raise ValueError(f"variant {variant!r}: one of {', '.join(VARIANTS)}")
        if state_dtype not in (None, torch.float32, torch.float64, torch.bfloat16, torch.float16):
            raise ValueError(f"state_dtype {state_dtype}: a floating-point type")
        self.variant, self.state_dtype, self.correct_current_only = variant, state_dtype, correct_current_only
        self.compiled = compiled
        # `task`, `n` and `open` stand in every group, so that state_dict carries them.
        defaults = {
            "lr": lr, "b": b, "betas": BETAS[variant] if betas is None else betas, "eps": eps, "task": -1,
            "n": 0, "open": False, "variant": variant, "weight_decay": weight_decay, "maximize": maximize,
            "max_step": max_step,
        }  # fmt: skip
        super().__init__(params, defaults)

    def __getstate__(self) -> dict[str, Any]:
        """Returns everything, for copy and pickle; torch's own leaves out what a subclass adds."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in _OWN}}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add tensors, also between and within tasks: for the tasks before they have moved in no direction.

        Raises: ValueError for a number out of range, besides torch's own errors.
        """
        super().add_param_group(param_group)
        first, group = self.param_groups[0], self.param_groups[-1]
        tag_state.check(group)
        if first is not group:
            group.update(task=first["task"], open=first["open"], n=0)
            finished = group["task"] + (not group["open"])
            for p in group["params"]:
                tag_state.join_late(self.state[p], p, finished, self.state_dtype)

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
        self._forget_present()

    def abandon_task(self) -> None:
        """Forget the task that is going on, as after an interrupt: what it did to the parameters stays, of
        its direction and second moment nothing is kept, and `begin_task` begins it anew.

        Raises: RuntimeError if no task is going on.
        """
        if not self.param_groups[0]["open"]:
            raise RuntimeError("abandon_task: no task is going on")
        for group in self.param_groups:
            group.update(task=group["task"] - 1, n=0, open=False)
        self._forget_present()

    def _forget_present(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                for key in ("m", "v", "alpha_sum"):
                    self.state[p].pop(key, None)
                self.state[p]["steps"] = 0

    def end_task(self) -> None:
        """Keep the direction and the second moment of the task's end.

        Raises: RuntimeError if no task is going on or it had no step.
        """
        if not self.param_groups[0]["open"] or not any(group["n"] for group in self.param_groups):
            raise RuntimeError("end_task: no task is going on, or it had no step")
        for group in self.param_groups:
            group["open"] = False
            for p in group["params"]:
                tag_state.finish(self.state[p], p, self.state_dtype)

    def restart_correction(self) -> None:
        """Count the steps of adam's correction from 0 again, as the published code does in every epoch."""
        for group in self.param_groups:
            group["n"] = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step with the gradients at hand; returns what closure returns.

        Raises: RuntimeError between end_task and begin_task, and for sparse gradients; ValueError if a
            rate or another number became nan or left its range.
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
            tag_state.check(group)
            group["n"] += 1
            self._update([p for p in group["params"] if p.grad is not None], group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Move the tensors of a group that have a gradient."""
        if any(p.grad is None or p.grad.is_sparse for p in params):
            raise RuntimeError("TAG needs dense gradients")
        for p in params:
            tag_state.adopt(self.state[p], p)
        numbers = tag_state.Numbers.of(group, self.variant, self.correct_current_only)
        fast = [p for p in params if self.compiled and tag_state.can_compile(p, self.state[p])]
        if fast:
            tag_state.compiled_step(fast, [self.state[p] for p in fast], numbers)
        chosen = {id(p) for p in fast}
        if rest := [p for p in params if id(p) not in chosen]:
            tag_torch.step(rest, [self.state[p] for p in rest], numbers)

    def alphas(self, reduce: str | None = "mean") -> Any:
        """Returns the weights of the finished tasks in the present or last task, averaged over its steps.

        Args: reduce — "mean": float64 (old tasks,), also averaged over tensors; None: {name: (old tasks,)},
            names as given to the constructor, else numbers over all groups; a name that several groups have
            comes as "group/name".  Empty in the first task.
        """
        if reduce not in ("mean", None):
            raise ValueError(f"reduce {reduce!r}: 'mean' or None")
        found: dict[str, NDArray[np.float64]] = {}
        for name, p in self._named():
            state = self.state[p]
            if "alpha_sum" in state:
                found[name] = state["alpha_sum"].detach().cpu().numpy() / state["steps"]
        if reduce is None:
            return found
        return np.mean(list(found.values()), axis=0) if found else np.empty(0)

    def _named(self) -> list[tuple[str, Tensor]]:
        """Every tensor with a name that no other has."""
        listed = [
            (number, group["param_names"][place] if "param_names" in group else None, p)
            for number, group in enumerate(self.param_groups)
            for place, p in enumerate(group["params"])
        ]
        often = Counter(name for _, name, _ in listed)
        return [
            (str(place) if name is None else f"{number}/{name}" if often[name] > 1 else name, p)
            for place, (number, name, p) in enumerate(listed)
        ]

    def memory_bytes(self) -> int:
        """Returns the bytes of all state tensors."""
        tensors = (value for state in self.state.values() for value in state.values())
        return sum(value.nbytes for value in tensors if isinstance(value, Tensor))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, bit for bit; torch alone would cast all to the
        parameters' dtype.

        Raises: ValueError for the state of another variant.
        """
        variants = {group.get("variant", self.variant) for group in state_dict["param_groups"]}
        if variants != {self.variant}:
            raise ValueError(f"the state is of variant {', '.join(sorted(variants))}, not {self.variant}")
        super().load_state_dict(state_dict)
        for group in self.param_groups:  # what was saved before a setting was there has its default
            for name, value in self.defaults.items():
                group.setdefault(name, value)
        order = [number for group in state_dict["param_groups"] for number in group["params"]]
        own = [p for group in self.param_groups for p in group["params"]]
        for number, p in zip(order, own, strict=True):
            for key, value in state_dict["state"].get(number, {}).items():
                if isinstance(value, Tensor):
                    self.state[p][key] = value.detach().clone().to(p.device)
