"""Everything `stable_sgd/main.py` is told."""

import argparse
from dataclasses import dataclass

from clrepro.arguments import non_negative_int
from clrepro.settings import option
from tag_repro.settings import Common, TorchSession, usual_name

DATASETS = ("rot-mnist", "perm-mnist", "cifar100")


@dataclass(frozen=True)
class StableSettings(Common):
    """One run of Stable SGD."""

    dataset: str = option(
        "rot-mnist", "stream of tasks, also by the names rotation-mnist, permuted-mnist and cifar-100",
        choices=DATASETS, parse=usual_name,
    )  # fmt: skip
    engine: str = option(
        "auto", "fused: compiled MLP; reference: torch; batched: the MLPs of all --seeds together",
        choices=("auto", "fused", "reference", "batched"),
    )  # fmt: skip
    momentum: float = option(0.8, "of SGD, from 0 in every epoch", within="[0, 1)")


def seed_list(text: str) -> tuple[int, ...]:
    """Different seeds with commas between them."""
    seeds = tuple(non_negative_int(word) for word in text.split(","))
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r} has a seed twice")
    return seeds


@dataclass(frozen=True)
class StableSession(TorchSession):
    """Where and how it is done, for how many seeds."""

    seeds: tuple[int, ...] = option(
        (), "these seeds instead of --seed, each as a run of its own", parse=seed_list, metavar="0,1,..."
    )
