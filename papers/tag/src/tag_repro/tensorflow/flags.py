"""The command lines of `fc_mnist.py` and `conv_split_cifar.py`, and the settings that they mean."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from clrepro.arguments import existing_dir, finite_float, non_negative_int, positive_int
from tag_repro.program import Parser
from tag_repro.tensorflow.settings import (
    CLASS_ORDERS,
    CONV,
    CONV_DEFAULTS,
    DATASETS,
    FC,
    FC_DEFAULTS,
    METHODS,
    OPTIMIZERS,
    QUICK_IMAGES,
    TfSettings,
)

DEFAULTS = {FC: FC_DEFAULTS, CONV: CONV_DEFAULTS}
LOG_DIRS = {FC: Path("permute_mnist_results"), CONV: Path("split_cifar_results")}
QUICK_TASKS = 10
TITLES = {
    FC: "EWC, A-GEM, ER and plain SGD on rotated or permuted MNIST.",
    CONV: "EWC, A-GEM, ER and plain SGD on CIFAR-100 in tasks of five classes.",
}


def parser(program: str) -> Parser:
    """Returns the parser of one of the two programs."""
    out, defaults = Parser(prog=program, description=TITLES[program]), DEFAULTS[program]
    if program == FC:
        out.add_argument("--dataset", default=defaults.dataset, help=", ".join(DATASETS[FC]))
    _method_flags(out, defaults)
    _run_flags(out, defaults)
    _our_flags(out, defaults)
    return out


def _method_flags(out: Parser, defaults: TfSettings) -> None:
    """What is learnt with."""
    add = out.add_argument
    add("--imp-method", default=defaults.imp_method, help=f"{', '.join(METHODS)} (VAN: plain SGD)")
    add("--arch", default=defaults.arch, help="FC-S (256-256), FC-B (2000-2000); RESNET-S")
    add("--batch-size", type=positive_int, default=defaults.batch_size, help="training images per batch")
    add("--learning-rate", type=finite_float, default=defaults.learning_rate, help="of the first task")
    add("--decay", type=finite_float, default=defaults.decay, help="factor of the rate per task, 1.0: none")
    add("--optim", default=defaults.optim, help=", ".join(OPTIMIZERS))
    add("--synap-stgth", type=finite_float, default=defaults.synap_stgth, help="EWC's strength lambda")
    add("--fisher-ema-decay", type=finite_float, default=defaults.fisher_ema_decay,
        help="EWC: weight of the newest squares in the running Fisher information")  # fmt: skip
    add("--fisher-update-after", type=positive_int, default=defaults.fisher_update_after,
        help="EWC: steps between its updates")  # fmt: skip
    add("--mem-size", type=positive_int, default=defaults.mem_size,
        help="remembered examples per class (fc_mnist.py: per class of each task)")  # fmt: skip
    add("--eps-mem-batch", type=positive_int, default=defaults.eps_mem_batch,
        help="remembered examples taken into one step, at most")  # fmt: skip


def _run_flags(out: Parser, defaults: TfSettings) -> None:
    """What is run, how often, and where it is written."""
    add = out.add_argument
    add(
        "--num-runs",
        type=positive_int,
        default=defaults.num_runs,
        help="runs, with seeds SEED, SEED + 1, ...",
    )
    add("--random-seed", type=non_negative_int, default=defaults.random_seed, help="of every random choice")
    add("--examples-per-task", type=positive_int, default=defaults.examples_per_task,
        help="training images drawn for a task, at most")  # fmt: skip
    add(
        "--train-iters",
        type=positive_int,
        default=defaults.train_iters,
        help="steps per task, if not one epoch",
    )
    if defaults.train_single_epoch:
        add("--train-single-epoch", action="store_false", help="turns the single epoch off (as published)")
    else:
        add("--train-single-epoch", action="store_true", help="one epoch per task in place of --train-iters")
    add(
        "--cross-validate-mode",
        action="store_true",
        help="test after the last task alone; add a line to a log",
    )
    add("--online-cross-val", action="store_true", help="train the first three tasks alone")
    add("--eval-single-head", action="store_true", help="accepted and without effect, as published")
    add(
        "--log-dir",
        type=Path,
        default=LOG_DIRS[defaults.program],
        help=f"default: {LOG_DIRS[defaults.program]}",
    )


def _our_flags(out: Parser, defaults: TfSettings) -> None:
    """What the original did not have."""
    add = out.add_argument
    add(
        "--tasks",
        type=positive_int,
        help=f"number of tasks (default: {defaults.tasks}; quick: {QUICK_TASKS})",
    )
    add(
        "--dropout",
        type=finite_float,
        default=defaults.dropout,
        help="share of hidden units dropped in training",
    )
    add("--decay-every", type=int, default=defaults.decay_every,
        help="steps between decays of the rate; 0: every task; 3100: as published")  # fmt: skip
    add("--rotation-step", type=finite_float, default=defaults.rotation_step, metavar="DEGREES",
        help="between rotated tasks (default: 10)")  # fmt: skip
    add("--ref-dropout", action="store_true", help="A-GEM: drop units in the reference gradient too")
    add("--compat", choices=("corrected", "original"), default=defaults.compat,
        help="original: units are dropped at test time and in the reference gradient")  # fmt: skip
    add(
        "--eval-every",
        type=non_negative_int,
        default=defaults.eval_every,
        help="steps between tests; 0: none",
    )
    add(
        "--class-order",
        choices=CLASS_ORDERS,
        default=defaults.class_order,
        help="of the classes in the tasks",
    )
    add("--profile", choices=("full", "quick"), default="full", help="quick: bundled or synthetic images")
    add("--images", help="what the tasks are made of (default: by the profile)")
    add("--data-dir", type=existing_dir, help="folder of the data sets, and nowhere else")
    add("--threads", type=positive_int, default=1, help="of TensorFlow")
    add("--resume", action="store_true", help="skip runs that are done, continue an interrupted one")


def settings_of(program: str, flags: dict[str, Any]) -> TfSettings:
    """Returns the settings of parsed flags.  Raises: UsageError."""
    defaults, quick = DEFAULTS[program], flags["profile"] == "quick"
    known = {field.name for field in fields(TfSettings)}
    chosen = {name: value for name, value in flags.items() if name in known and value is not None}
    unsaid = {"tasks": QUICK_TASKS, "images": QUICK_IMAGES[program]} if quick else {}
    return replace(defaults, **{**unsaid, **chosen})
