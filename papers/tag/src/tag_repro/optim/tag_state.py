"""What TAG keeps of a tensor, and the compiled step's view of it.

A tensor's state: m, v — (numel,), of the present task; u_old, v_old — (finished tasks, numel); alpha_sum —
float64 (finished tasks,), and steps: the weights' sum over the present task's steps, and how many.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

State = dict[str, Any]
HALVES = (torch.float16, torch.bfloat16)
_FINITE = ("lr", "b", "eps", "weight_decay")


@dataclass(frozen=True)
class Numbers:
    """The numbers of a step of one group; `own` — weight of the present V; late — factor of the root;
    tops_m — M is what moves, else the gradient.
    """

    beta1: float
    beta2: float
    new: float  # share of the new square in V
    b: float
    own: float
    rate: float
    late: float
    eps: float
    decay: float
    sign: float
    most: float
    tops_m: bool

    @classmethod
    def of(cls, group: State, variant: str, current_only: bool) -> "Numbers":
        """Returns the numbers of a group whose `n` counts the step to be done."""
        (beta1, beta2), n, most = group["betas"], group["n"], group["max_step"]
        own, late, rate = weight(group["b"]) if group["task"] else 1.0, 1.0, group["lr"]
        if variant == "adam":
            late, rate = 1 / math.sqrt(1 - beta2**n), rate / (1 - beta1**n)
            if current_only:
                own, late = own * late**2, 1.0
        return cls(
            beta1, 1.0 if variant == "adagrad" else beta2, 1.0 if variant == "adagrad" else 1 - beta2,
            group["b"], own, rate, late, group["eps"], group["weight_decay"],
            -1.0 if group["maximize"] else 1.0, math.inf if most is None else group["lr"] * most, variant
            == "adam",
        )  # fmt: skip


def weight(exponent: float) -> float:
    """Returns exp(-exponent), kept in 1e-30..1e30."""
    return min(max(math.exp(min(-exponent, 700.0)), 1e-30), 1e30)


def check(group: State) -> None:
    """Raises: ValueError for a number that is nan or out of range."""
    for name in _FINITE:
        value = float(group[name])
        if not math.isfinite(value) or (name != "b" and value < 0):
            raise ValueError(f"{name} {value}: a number{'' if name == 'b' else ', 0 or more'}")
    if not all(0 <= beta <= 1 for beta in group["betas"]):
        raise ValueError(f"betas {group['betas']}: in 0..1")
    if group["max_step"] is not None and not group["max_step"] > 0:
        raise ValueError(f"max_step {group['max_step']}: above 0")


def dtype_of(p: Tensor) -> torch.dtype:
    """Returns the type of a tensor's state: its own, but float32 for half precision."""
    return torch.float32 if p.dtype in HALVES else p.dtype


def kept_types(p: Tensor, state_dtype: torch.dtype | None) -> tuple[torch.dtype, torch.dtype]:
    """Returns the types of finished tasks' directions, and of their second moments, which half precision's
    smallest number is too large for.
    """
    chosen = state_dtype or dtype_of(p)
    return chosen, dtype_of(p) if chosen == torch.float16 else chosen


def join_late(state: State, p: Tensor, finished: int, state_dtype: torch.dtype | None) -> None:
    """Give a tensor that comes after `finished` tasks the state of one that never moved."""
    state["steps"] = 0
    if finished:
        for key, dtype in zip(("u_old", "v_old"), kept_types(p, state_dtype), strict=True):
            state[key] = torch.zeros((finished, p.numel()), dtype=dtype, device=p.device)


def finish(state: State, p: Tensor, state_dtype: torch.dtype | None) -> None:
    """Put away the direction and the second moment of a task that is over."""
    adopt(state, p)
    empty = torch.zeros(p.numel(), dtype=dtype_of(p), device=p.device)
    m, v = state.pop("m", empty), state.pop("v", empty)
    norm = torch.linalg.vector_norm(m)
    direction = m * torch.where(norm > 0, 1 / norm, torch.zeros_like(norm))
    for key, new, dtype in zip(("u_old", "v_old"), (direction, v), kept_types(p, state_dtype), strict=True):
        row = new.to(dtype)[None]
        state[key] = torch.cat([state[key], row]) if key in state else row


def adopt(state: State, p: Tensor) -> None:
    """Move the state to where the tensor is by now, if its module went to another device or type."""
    wanted = dtype_of(p)
    for key in ("m", "v", "u_old", "v_old", "alpha_sum"):
        held = state.get(key)
        if held is None:
            continue
        small = key in ("u_old", "v_old") and held.dtype in HALVES
        dtype = held.dtype if small or key == "alpha_sum" else wanted
        if held.device != p.device or held.dtype != dtype:
            state[key] = held.to(p.device, dtype)
    if "m" not in state and p.grad is not None:
        for key in ("m", "v"):
            state[key] = torch.zeros(p.numel(), dtype=wanted, device=p.device)


def can_compile(p: Tensor, state: State) -> bool:
    """Whether the compiled step can take a tensor: float32 on the CPU, and gradient and itself contiguous."""
    g = p.grad
    if g is None or p.device.type != "cpu" or p.dtype != torch.float32 or g.dtype != torch.float32:
        return False
    held = state["u_old"].dtype if "u_old" in state else torch.float32
    return held in (torch.float32, *HALVES) and p.is_contiguous() and g.is_contiguous() and p.numel() > 0


def compiled_step(params: list[Tensor], states: list[State], numbers: Numbers) -> None:
    """Do a step of `tag_kernel` on tensors of which `can_compile` holds, and note the weights."""
    kinds: dict[int, list[int]] = {}
    for place, state in enumerate(states):
        kinds.setdefault(_kind(state), []).append(place)
    for kind, places in kinds.items():
        _compiled_step([params[k] for k in places], [states[k] for k in places], numbers, kind)


def _kind(state: State) -> int:
    held = state["u_old"].dtype if "u_old" in state else torch.float32
    return {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}[held]


def _compiled_step(params: list[Tensor], states: list[State], numbers: Numbers, kind: int) -> None:
    from tag_repro.optim import tag_kernel

    table = np.zeros((len(params), 7), np.int64)
    counts = np.zeros(len(params), np.int64)
    for number, (p, state) in enumerate(zip(params, states, strict=True)):
        assert p.grad is not None
        table[number, :4] = p.data_ptr(), p.grad.data_ptr(), state["m"].data_ptr(), state["v"].data_ptr()
        if "u_old" in state:
            counts[number] = len(state["u_old"])
            if "alpha_sum" not in state:
                state["alpha_sum"] = torch.zeros(len(state["u_old"]), dtype=torch.float64)
            table[number, 4:] = [state[key].data_ptr() for key in ("u_old", "v_old", "alpha_sum")]
            state["steps"] = state.get("steps", 0) + 1
    sizes = np.array([p.numel() for p in params])
    single = np.float32
    settings = tuple(map(single, (
        numbers.beta1, 1 - numbers.beta1, numbers.beta2, numbers.new, numbers.sign, numbers.decay,
    )))  # fmt: skip
    tag_kernel.step(
        table, sizes, counts, kind, settings, float(numbers.b), single(numbers.own), single(numbers.rate),
        single(numbers.late), single(numbers.eps), single(numbers.most), numbers.tops_m, _space(),
    )  # fmt: skip


@cache
def _space() -> NDArray[np.float32]:
    from tag_repro.optim import tag_kernel

    return np.empty((tag_kernel.SPACE, tag_kernel.BLOCK), np.float32)
