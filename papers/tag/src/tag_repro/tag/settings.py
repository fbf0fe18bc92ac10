"""Everything `main.py`, the TAG driver, is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from clrepro.errors import UsageError
from clrepro.settings import option
from tag_repro.settings import COUNT, IMAGE_SETS, Common, settings_of, usual_name
from tag_repro.tag.opt_names import Method, parse_opt

DATASETS = ("rot-mnist", "perm-mnist", *IMAGE_SETS)
FISHERS = ("empirical", "original", "original-wrong-mask")


def own_name(dataset: str) -> str:
    """As `usual_name`; here cifar10 loads CIFAR-100 too, as in the original."""
    return "cifar100" if dataset == "cifar10" else usual_name(dataset)


@dataclass(frozen=True)
class TagSettings(Common):
    """The runs of one command; `replace` gives those of a single one."""

    dataset: str = option(
        "rot-mnist",
        "stream of tasks, also by the names rotation-mnist, permuted-mnist, cifar-100 and cifar10",
        choices=DATASETS, parse=own_name,
    )  # fmt: skip
    engine: str = option(
        "auto", "fused: compiled MLP; reference: torch", choices=("auto", "fused", "reference")
    )
    opt: str = option("", "'' (SGD), rms, adagrad, adam or tag, and ewc, agem or er, e.g. tag-er")
    tag_opt: str = option("adam", "TAG's second moment", choices=("rms", "adagrad", "adam"))
    b: float = option(5.0, "TAG's sharpness")
    runs: int = option(3, "runs, with seeds SEED, SEED + 1, ...", within=COUNT, decides=False)
    mem_size: int = option(1, "remembered examples per class (agem, er)", within=COUNT)
    multi: int = option(
        0,
        "upper bounds: 1: the tasks in turn, six times; 2: jointly; 3: 50,000 images jointly, one head",
        within="[0, 3]",
    )
    lambd: float = option(1.0, "EWC's strength")
    ewc_fisher: str = option("empirical", "how EWC weighs parameters", choices=FISHERS)
    fresh_tasks: bool = option(False, "permutations and angles of its own for every run")
    compat: str = option(
        "fixed", "original: the published code's Fisher and bias correction", choices=("fixed", "original")
    )
    hyp_gs: str = option(
        "", "grid search on held-out images", choices=("", "lr", "tag", "ewc", "stable"), decides=False
    )
    cub_original_scale: bool = option(False, "cub: pixels scaled as in the published code")
    pretrained: str = option("", "weights of ResNet-18 for cub (a state dict)", metavar="PATH")
    seed: int = option(1, "of every random choice", within="[0, inf)")
    # The original's default seed, 0, trains 1, 2, ...; ours trains what is given.

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multi == 3 and self.dataset in IMAGE_SETS:
            raise UsageError(
                f"--multi 3: the tasks of {self.dataset} have classes of their own, not one head"
            )
        method = parse_opt(self.opt)
        if self.hyp_gs == "tag" and method.optimizer != "tag":
            raise UsageError("--hyp-gs tag: searches TAG's sharpness and rate, so --opt must name tag")
        if self.hyp_gs == "ewc" and method.wrapper != "ewc":
            raise UsageError("--hyp-gs ewc: searches EWC's strength and a rate, so --opt must name ewc")
        if self.hyp_gs and self.multi:
            raise UsageError("--hyp-gs: not together with --multi")

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], quick: bool = False) -> "TagSettings":
        """Returns the settings of parsed flags.  Raises: UsageError for what does not fit together."""
        fisher = flags.get("ewc_fisher") or (
            "original-wrong-mask" if flags.get("compat") == "original" else None
        )
        return cast(TagSettings, settings_of(cls, {**flags, "ewc_fisher": fisher}, quick))

    @property
    def method(self) -> Method:
        """What --opt asks for."""
        return parse_opt(self.opt)
