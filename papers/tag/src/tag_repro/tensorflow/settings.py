"""Everything `fc_mnist.py` and `conv_split_cifar.py` are told, checked once, before any data is read."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from clrepro.errors import UsageError

FC, CONV = "fc_mnist.py", "conv_split_cifar.py"
METHODS = ("VAN", "EWC", "A-GEM", "ER")
REFUSED_METHODS = ("PI", "MAS", "RWALK", "S-GEM", "FTR_EXT", "PNN", "M-EWC")
ARCHITECTURES = {FC: ("FC-S", "FC-B"), CONV: ("RESNET-S",)}
REFUSED_ARCHITECTURES = ("CNN", "RESNET-B", "VGG")
OPTIMIZERS = ("SGD", "MOMENTUM", "ADAM")
DATASETS = {FC: ("rot-mnist", "perm-mnist"), CONV: ("split-cifar100",)}
FULL_IMAGES = {FC: "mnist", CONV: "cifar100"}
QUICK_IMAGES = {FC: "digits", CONV: "prototypes"}
CLASS_ORDERS = ("natural", "shuffled")
CROSS_VALIDATION_TASKS = 3
NOT_DECISIVE = ("num_runs", "random_seed")


@dataclass(frozen=True)
class TfSettings:
    """What both programs are told; see their --help for the meanings.  The defaults are those of fc_mnist.py.

    Raises: UsageError on construction, in one line that names the flag, the value and what is allowed.
    """

    program: str = FC
    dataset: str = "rot-mnist"
    images: str = "mnist"
    tasks: int = 20
    imp_method: str = "EWC"
    arch: str = "FC-S"
    num_runs: int = 10
    batch_size: int = 16
    learning_rate: float = 1e-3
    decay: float = 0.4
    decay_every: int = 0  # steps; 0: at the end of every task
    optim: str = "SGD"
    synap_stgth: float = 10.0
    fisher_ema_decay: float = 0.9
    fisher_update_after: int = 10
    mem_size: int = 1
    eps_mem_batch: int = 64
    examples_per_task: int = 50000
    random_seed: int = 1235
    train_iters: int = 5000
    train_single_epoch: bool = True
    cross_validate_mode: bool = False
    online_cross_val: bool = False
    dropout: float = 0.25
    ref_dropout: bool = False
    compat: str = "corrected"
    eval_every: int = 0
    class_order: str = "natural"
    rotation_step: float = 0.0

    def __post_init__(self) -> None:
        self._check_names()
        for name in (
            "tasks", "num_runs", "batch_size", "fisher_update_after", "mem_size", "eps_mem_batch",
            "examples_per_task", "train_iters",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise UsageError(f"{flag(name)} {getattr(self, name)}: 1 or more")
        for name in ("random_seed", "decay_every", "eval_every", "synap_stgth", "rotation_step"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{flag(name)} {getattr(self, name)}: 0 or more")
        for name in ("learning_rate", "decay"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{flag(name)} {getattr(self, name)}: a number above 0")
        if not 0 < self.fisher_ema_decay <= 1:
            raise UsageError(f"--fisher-ema-decay {self.fisher_ema_decay}: above 0, at most 1")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout {self.dropout}: from 0 to below 1")
        if self.program == CONV and self.tasks not in (allowed := (10, 20)):
            raise UsageError(f"--tasks {self.tasks}: {' or '.join(map(str, allowed))}")

    def _check_names(self) -> None:
        if self.imp_method in REFUSED_METHODS:
            raise UsageError(
                f"--imp-method {self.imp_method}: not part of this reproduction; {', '.join(METHODS)}"
            )
        if self.arch in REFUSED_ARCHITECTURES:
            known = ", ".join(ARCHITECTURES[self.program])
            raise UsageError(f"--arch {self.arch}: not part of this reproduction; {known}")
        for name, allowed in (
            ("imp_method", METHODS), ("arch", ARCHITECTURES[self.program]), ("optim", OPTIMIZERS),
            ("dataset", DATASETS[self.program]), ("class_order", CLASS_ORDERS),
            ("compat", ("corrected", "original")),
            ("images", (FULL_IMAGES[self.program], QUICK_IMAGES[self.program], *_more(self.program))),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise UsageError(f"{flag(name)} {getattr(self, name)}: one of {', '.join(allowed)}")

    @property
    def profile(self) -> str:
        """quick or full, by the images."""
        return "quick" if self.images == QUICK_IMAGES[self.program] else "full"

    @property
    def trained_tasks(self) -> int:
        """Tasks that are trained: the first three alone for --online-cross-val."""
        return min(CROSS_VALIDATION_TASKS, self.tasks) if self.online_cross_val else self.tasks

    @property
    def test_dropout(self) -> bool:
        """Whether units are dropped at test time, as the original's hard-coded keep probability did."""
        return self.compat == "original"

    @property
    def reference_dropout(self) -> bool:
        """Whether units are dropped in A-GEM's reference gradient."""
        return self.ref_dropout or self.compat == "original"

    def rate(self, task: int, step: int) -> float:
        """Returns the learning rate of step 0, 1, ... of the whole stream, in task 0, 1, ...

        learning_rate · decay^task, or decay^(step // decay_every); the first task's rate is not decayed.
        Differs from the original: it always counted 3,100 steps, one task of 50,000 images in batches of 16,
        but two tasks in the batches of 32 that its scripts take (--decay-every 3100 brings that back).
        """
        return float(
            self.learning_rate * self.decay ** (step // self.decay_every if self.decay_every else task)
        )

    def fingerprint(self) -> dict[str, Any]:
        """Returns what decides the numbers beside the seed."""
        return {key: value for key, value in asdict(self).items() if key not in NOT_DECISIVE}


def _more(program: str) -> tuple[str, ...]:
    return ("fashion_mnist", "mnist_quick") if program == FC else ()


def flag(name: str) -> str:
    """Returns the flag of a field."""
    return f"--{name.replace('_', '-')}"


FC_DEFAULTS = TfSettings()
CONV_DEFAULTS = replace(
    FC_DEFAULTS, program=CONV, dataset="split-cifar100", images="cifar100", arch="RESNET-S", num_runs=5,
    batch_size=64, learning_rate=0.1, decay=1.0, fisher_update_after=50, eps_mem_batch=256, random_seed=3235,
    train_iters=2000, train_single_epoch=False, dropout=0.0,
)  # fmt: skip
