"""What a method adds to a step: `gradients` leaves in every parameter the gradient to step with."""

from typing import Any

from clrepro.seeding import Seeds
from tag_repro.benchmarks import Benchmark
from tag_repro.methods.agem import AGEM
from tag_repro.methods.er import ER
from tag_repro.methods.ewc import EWC
from tag_repro.methods.naive import Naive
from tag_repro.settings import TagSettings

METHODS: dict[str, type[Any]] = {"": Naive, "ewc": EWC, "agem": AGEM, "er": ER}


def make_method(settings: TagSettings, network: Any, benchmark: Benchmark, seeds: Seeds) -> Any:
    """Returns the method around the optimizer that --opt names."""
    return METHODS[settings.method.wrapper](settings, network, benchmark, seeds.generator("memory"))
