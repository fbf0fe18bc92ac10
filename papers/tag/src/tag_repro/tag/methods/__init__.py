"""What a method adds to a step: `gradients` leaves in every parameter the gradient to step with."""

from typing import Any

from clrepro.seeding import Seeds
from tag_repro.settings import TagSettings
from tag_repro.tag.methods.agem import AGEM
from tag_repro.tag.methods.er import ER
from tag_repro.tag.methods.ewc import EWC
from tag_repro.tag.methods.naive import Naive
from tag_repro.task_stream import TaskStream

METHODS: dict[str, type[Any]] = {"": Naive, "ewc": EWC, "agem": AGEM, "er": ER}


def make_method(settings: TagSettings, network: Any, task_stream: TaskStream, seeds: Seeds) -> Any:
    """Returns the method around the optimizer that --opt names."""
    return METHODS[settings.method.wrapper](settings, network, task_stream, seeds.generator("memory"))
