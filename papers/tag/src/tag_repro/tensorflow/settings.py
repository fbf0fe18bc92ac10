"""Everything `fc_mnist.py` and `conv_split_cifar.py` are told, checked once, before any data is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clrepro.errors import UsageError
from clrepro.settings import check, dashed, given, option
from tag_repro.settings import COUNT, OR_NONE, RATE, Session

FC, CONV = "fc_mnist.py", "conv_split_cifar.py"
METHODS = ("VAN", "EWC", "A-GEM", "ER")
REFUSED_METHODS = ("PI", "MAS", "RWALK", "S-GEM", "FTR_EXT", "PNN", "M-EWC")
ARCHITECTURES = {FC: ("FC-S", "FC-B"), CONV: ("RESNET-S",)}
REFUSED_ARCHITECTURES = ("CNN", "RESNET-B", "VGG")
OPTIMIZERS = ("SGD", "MOMENTUM", "ADAM")
DATASETS = {FC: ("rot-mnist", "perm-mnist"), CONV: ("split-cifar100",)}
FULL_IMAGES = {FC: "mnist", CONV: "cifar100"}
QUICK_IMAGES = {FC: "digits", CONV: "prototypes"}
QUICK_TASKS = 10
CROSS_VALIDATION_TASKS = 3


@dataclass(frozen=True)
class TfSettings:
    """What both programs are told; see their --help for the meanings.  The defaults are those of fc_mnist.py.

    Raises: UsageError on construction, in one line that names the flag, the value and what is allowed.
    """

    program: str = option(FC, "which of the two", choices=(FC, CONV), flag=False)
    dataset: str = option("rot-mnist", f"stream of tasks: {', '.join(DATASETS[FC])}")
    images: str = option("mnist", "what the tasks are made of, else the profile says")
    tasks: int = option(20, f"number of tasks; of the quick profile {QUICK_TASKS}", within=COUNT)
    imp_method: str = option("EWC", f"what learns: {', '.join(METHODS)} (VAN: plain SGD)")
    arch: str = option("FC-S", "FC-S (256-256), FC-B (2000-2000); RESNET-S")
    num_runs: int = option(10, "runs, with seeds SEED, SEED + 1, ...", within=COUNT, decides=False)
    batch_size: int = option(16, "training images per batch", within=COUNT)
    learning_rate: float = option(1e-3, "of the first task", within=RATE)
    decay: float = option(0.4, "factor of the rate per task, 1.0: none", within=RATE)
    decay_every: int = option(
        0, "steps between decays of the rate; 0: every task; 3100: as published", within=OR_NONE
    )
    optim: str = option("SGD", "what takes the steps", choices=OPTIMIZERS)
    synap_stgth: float = option(10.0, "EWC's strength lambda", within=OR_NONE)
    fisher_ema_decay: float = option(
        0.9, "EWC: weight of the newest squares in the running Fisher information", within="(0, 1]"
    )
    fisher_update_after: int = option(10, "EWC: steps between its updates", within=COUNT)
    mem_size: int = option(
        1, "remembered examples per class (fc_mnist.py: per class of each task)", within=COUNT
    )
    eps_mem_batch: int = option(64, "remembered examples taken into one step, at most", within=COUNT)
    examples_per_task: int = option(50000, "training images drawn for a task, at most", within=COUNT)
    random_seed: int = option(1235, "of every random choice", within=OR_NONE, decides=False)
    train_iters: int = option(5000, "steps per task, if not one epoch", within=COUNT)
    train_single_epoch: bool = option(
        True, "one epoch per task in place of --train-iters; of fc_mnist.py it turns that off (as published)"
    )
    cross_validate_mode: bool = option(False, "test after the last task alone; add a line to a log")
    online_cross_val: bool = option(False, "train the first three tasks alone")
    dropout: float = option(0.25, "share of hidden units dropped in training", within="[0, 1)")
    ref_dropout: bool = option(False, "A-GEM: drop units in the reference gradient too")
    compat: str = option(
        "corrected", "original: units are dropped at test time and in the reference gradient",
        choices=("corrected", "original"),
    )  # fmt: skip
    eval_every: int = option(0, "steps between tests; 0: none", within=OR_NONE)
    class_order: str = option("natural", "of the classes in the tasks", choices=("natural", "shuffled"))
    rotation_step: float = option(0.0, "between rotated tasks; 0: 10", within=OR_NONE, metavar="DEGREES")

    def __post_init__(self) -> None:
        check(self, dashed)
        self._check_names()
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
            ("imp_method", METHODS), ("arch", ARCHITECTURES[self.program]),
            ("dataset", DATASETS[self.program]),
            ("images", (FULL_IMAGES[self.program], QUICK_IMAGES[self.program], *_more(self.program))),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise UsageError(f"{dashed(name)} {getattr(self, name)}: one of {', '.join(allowed)}")

    @property
    def profile(self) -> str:
        """quick or full, by the images."""
        return "quick" if self.images == QUICK_IMAGES[self.program] else "full"

    @property
    def trained_tasks(self) -> int:
        """Tasks that are trained: the first three alone for --online-cross-val."""
        return min(CROSS_VALIDATION_TASKS, self.tasks) if self.online_cross_val else self.tasks

    def rate(self, task: int, step: int) -> float:
        """Returns the learning rate of step 0, 1, ... of the whole stream, in task 0, 1, ...

        learning_rate · decay^task, or decay^(step // decay_every); the first task's rate is not decayed.
        Differs from the original: it always counted 3,100 steps, one task of 50,000 images in batches of 16,
        but two tasks in the batches of 32 that its scripts take (--decay-every 3100 brings that back).
        """
        return float(
            self.learning_rate * self.decay ** (step // self.decay_every if self.decay_every else task)
        )


def _more(program: str) -> tuple[str, ...]:
    return ("fashion_mnist", "mnist_quick") if program == FC else ()


FC_DEFAULTS = TfSettings()
CONV_DEFAULTS = replace(
    FC_DEFAULTS, program=CONV, dataset="split-cifar100", images="cifar100", arch="RESNET-S", num_runs=5,
    batch_size=64, learning_rate=0.1, decay=1.0, fisher_update_after=50, eps_mem_batch=256, random_seed=3235,
    train_iters=2000, train_single_epoch=False, dropout=0.0,
)  # fmt: skip
DEFAULTS = {FC: FC_DEFAULTS, CONV: CONV_DEFAULTS}


@dataclass(frozen=True)
class TfSession(Session):
    """Where and how a command is done."""

    log_dir: Path = option(Path("permute_mnist_results"), "folder of the results", parse=Path)
    eval_single_head: bool = option(False, "accepted and without effect, as published")


SESSIONS = {FC: TfSession(), CONV: TfSession(log_dir=Path("split_cifar_results"))}


def settings_of(program: str, flags: Mapping[str, Any], quick: bool) -> TfSettings:
    """Returns the settings of parsed flags, those that are None left to their defaults."""
    unsaid = {"tasks": QUICK_TASKS, "images": QUICK_IMAGES[program]} if quick else {}
    return replace(DEFAULTS[program], **{**unsaid, **given(TfSettings, flags)})
