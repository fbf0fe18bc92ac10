"""Everything the two programs are told, checked once, before any data is read."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from clrepro.errors import UsageError
from tag_repro.grammar import Method, parse_opt

ALIASES = {
    "rot-mnist": "rot-mnist", "rotation-mnist": "rot-mnist", "perm-mnist": "perm-mnist",
    "permuted-mnist": "perm-mnist", "cifar100": "cifar100", "cifar-100": "cifar100", "cifar10": "cifar100",
}  # fmt: skip
STABLE_DATASETS = ("rot-mnist", "rotation-mnist", "perm-mnist", "permuted-mnist", "cifar100", "cifar-100")
TAG_DATASETS = (*STABLE_DATASETS, "cifar10")
IMAGES = ("mnist", "fashion_mnist", "mnist_quick", "digits")  # what rot-mnist and perm-mnist may be made of
ENGINES = ("auto", "fused", "reference")
LOWEST_RATE = 5e-5


@dataclass(frozen=True)
class Common:
    """What both programs are told; see their --help for the meanings.

    Raises: UsageError on construction, in one line that names the flag, the value and what is allowed.
    """

    tasks: int = 5
    epochs_per_task: int = 1
    dataset: str = "rot-mnist"
    batch_size: int = 10
    lr: float = 0.1
    gamma: float = 0.4
    dropout: float = 0.25
    hiddens: int = 256
    compute_eigenspectrum: bool = False
    seed: int = 1234
    images: str = "mnist"
    engine: str = "auto"
    device: str = "cpu"
    decay_start: int = 1

    def __post_init__(self) -> None:
        for name in ("tasks", "epochs_per_task", "batch_size", "hiddens"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: 1 or more")
        for name, low in (("lr", 0.0), ("gamma", 0.0)):
            if not (low < getattr(self, name) < math.inf):
                raise UsageError(f"--{name} {getattr(self, name)}: a number above 0")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout {self.dropout}: from 0 to below 1")
        if self.dataset not in ALIASES.values():
            raise UsageError(f"--dataset {self.dataset}: one of {', '.join(TAG_DATASETS)}")
        if self.dataset == "cifar100" and self.tasks not in (10, 20):
            raise UsageError(f"--tasks {self.tasks}: cifar100 has 100 classes for 10 or 20 tasks")
        if self.engine == "fused" and self.dataset == "cifar100":
            raise UsageError("--engine fused: for the MLP of rot-mnist and perm-mnist alone")

    def rate(self, task: int) -> float:
        """Returns the learning rate of task 0, 1, ...: lr · gamma^(task + decay_start), at least 5e-5.

        Source: Stable SGD's code, where the first task's rate is already decayed once.
        """
        return max(self.lr * self.gamma ** (task + self.decay_start), LOWEST_RATE)

    def decisive(self) -> dict[str, Any]:
        """Returns what decides the numbers, for the record."""
        return {key: value for key, value in asdict(self).items() if key not in ("device", "runs")}


@dataclass(frozen=True)
class StableSettings(Common):
    """`stable_sgd/main.py`."""

    momentum: float = 0.8


@dataclass(frozen=True)
class TagSettings(Common):
    """`main.py`: the TAG driver."""

    opt: str = ""
    tag_opt: str = "adam"
    b: float = 5.0
    runs: int = 3
    mem_size: int = 1
    multi: int = 0
    lambd: float = 1.0
    ewc_fisher: str = "empirical"
    fresh_tasks: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("runs", "mem_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: 1 or more")
        if self.tag_opt not in ("rms", "adagrad", "adam"):
            raise UsageError(f"--tag-opt {self.tag_opt}: rms, adagrad or adam")
        if self.multi not in (0, 1, 2):
            raise UsageError(f"--multi {self.multi}: 0, 1 (tasks in turn, six times) or 2 (jointly)")
        if self.ewc_fisher not in ("empirical", "original"):
            raise UsageError(f"--ewc-fisher {self.ewc_fisher}: empirical or original")
        parse_opt(self.opt)

    @property
    def method(self) -> Method:
        """What --opt asks for."""
        return parse_opt(self.opt)
