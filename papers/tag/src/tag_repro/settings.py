"""Everything the two programs are told, checked once, before any data is read."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from clrepro.errors import UsageError
from tag_repro.tag.opt_names import Method, parse_opt

ALIASES = {
    "rot-mnist": "rot-mnist", "rotation-mnist": "rot-mnist", "perm-mnist": "perm-mnist",
    "permuted-mnist": "perm-mnist", "cifar100": "cifar100", "cifar-100": "cifar100", "cifar10": "cifar100",
    "mini_imagenet": "mini_imagenet", "mini_imagenet_jpeg": "mini_imagenet_jpeg", "cub": "cub", "5data":
    "5data",
}  # fmt: skip
STABLE_DATASETS = ("rot-mnist", "rotation-mnist", "perm-mnist", "permuted-mnist", "cifar100", "cifar-100")
TAG_DATASETS = (*STABLE_DATASETS, "cifar10", "mini_imagenet", "mini_imagenet_jpeg", "cub", "5data")
IMAGE_SETS = {"cifar100": (10, 20), "mini_imagenet": (20,), "mini_imagenet_jpeg": (20,), "cub": (20,),
              "5data": (5,)}  # and their tasks  # fmt: skip
IMAGES = ("mnist", "fashion_mnist", "mnist_quick", "digits", "prototypes")  # what tasks may be made of
FISHERS = ("empirical", "original", "original-wrong-mask")
GRIDS = ("", "lr", "tag", "ewc", "stable")
ENGINES = ("auto", "fused", "reference")
STABLE_ENGINES = (*ENGINES, "batched")
LOWEST_RATE = 5e-5
INDIFFERENT = ("device", "runs", "hyp_gs")  # they decide nothing about one run's numbers


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
    rotation_step: float = 0.0
    lr_floor: float = LOWEST_RATE

    def __post_init__(self) -> None:
        for name in ("tasks", "epochs_per_task", "batch_size", "hiddens"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: 1 or more")
        for name, low in (("lr", 0.0), ("gamma", 0.0)):
            if not (low < getattr(self, name) < math.inf):
                raise UsageError(f"--{name} {getattr(self, name)}: a number above 0")
        for name in ("rotation_step", "lr_floor"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: a number, 0 or more")
        if self.rotation_step and self.dataset != "rot-mnist":
            raise UsageError(f"--rotation-step: {self.dataset} is not turned")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout {self.dropout}: from 0 to below 1")
        if self.dataset not in ALIASES.values():
            raise UsageError(f"--dataset {self.dataset}: one of {', '.join(TAG_DATASETS)}")
        if self.dataset in IMAGE_SETS:
            self._check_images()
        elif self.images not in IMAGES[:-1]:
            raise UsageError(f"--images {self.images}: of {self.dataset} one of {', '.join(IMAGES[:-1])}")

    def _check_images(self) -> None:
        quick = self.images == "prototypes"
        allowed = (10, 20) if quick and self.dataset != "5data" else IMAGE_SETS[self.dataset]
        if self.tasks not in allowed:
            known = " or ".join(map(str, allowed))
            raise UsageError(f"--tasks {self.tasks}: {self.dataset} comes in {known} tasks")
        if self.images not in (self.dataset, "prototypes"):
            raise UsageError(f"--images {self.images}: {self.dataset} is made of itself or of prototypes")
        if self.engine in ("fused", "batched"):
            raise UsageError(f"--engine {self.engine}: for the MLP of rot-mnist and perm-mnist alone")

    def rate(self, task: int) -> float:
        """Returns the learning rate of task 0, 1, ...: lr · gamma^(task + decay_start), at least lr_floor.

        Source: Stable SGD's code, where the first task's rate is already decayed once.
        """
        return max(self.lr * self.gamma ** (task + self.decay_start), self.lr_floor)

    def fingerprint(self) -> dict[str, Any]:
        """Returns what decides the numbers, for the record."""
        return {key: value for key, value in asdict(self).items() if key not in INDIFFERENT}


@dataclass(frozen=True)
class StableSettings(Common):
    """`stable_sgd/main.py`."""

    momentum: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise UsageError(f"--momentum {self.momentum}: from 0 to below 1")


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
    compat: str = "fixed"
    hyp_gs: str = ""
    cub_original_scale: bool = False
    pretrained: str = ""
    seed: int = 1  # the original's default, 0, trains 1, 2, ...; ours trains what is given

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("runs", "mem_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: 1 or more")
        if self.tag_opt not in ("rms", "adagrad", "adam"):
            raise UsageError(f"--tag-opt {self.tag_opt}: rms, adagrad or adam")
        if self.multi not in (0, 1, 2, 3):
            words = "0, 1 (tasks in turn, six times), 2 (jointly) or 3 (jointly, one head)"
            raise UsageError(f"--multi {self.multi}: {words}")
        if self.multi == 3 and self.dataset in IMAGE_SETS:
            raise UsageError(
                f"--multi 3: the tasks of {self.dataset} have classes of their own, not one head"
            )
        if self.ewc_fisher not in FISHERS:
            raise UsageError(f"--ewc-fisher {self.ewc_fisher}: one of {', '.join(FISHERS)}")
        if self.hyp_gs not in GRIDS:
            raise UsageError(f"--hyp-gs {self.hyp_gs}: {', '.join(GRIDS[1:])}")
        if self.compat not in ("fixed", "original"):
            raise UsageError(f"--compat {self.compat}: fixed or original")
        method = parse_opt(self.opt)
        if self.hyp_gs == "tag" and method.optimizer != "tag":
            raise UsageError("--hyp-gs tag: searches TAG's sharpness and rate, so --opt must name tag")
        if self.hyp_gs == "ewc" and method.wrapper != "ewc":
            raise UsageError("--hyp-gs ewc: searches EWC's strength and a rate, so --opt must name ewc")
        if self.hyp_gs and self.multi:
            raise UsageError("--hyp-gs: not together with --multi")

    @property
    def method(self) -> Method:
        """What --opt asks for."""
        return parse_opt(self.opt)
