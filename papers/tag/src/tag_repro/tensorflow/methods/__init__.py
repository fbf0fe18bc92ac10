"""What a method does with a batch: `observe` learns from it, `end_task` is called when its task is over."""

from typing import Any

from tag_repro.tensorflow.methods.agem import AGEM
from tag_repro.tensorflow.methods.er import ER
from tag_repro.tensorflow.methods.ewc import EWC
from tag_repro.tensorflow.methods.van import VAN

METHODS: dict[str, type[VAN]] = {"VAN": VAN, "EWC": EWC, "A-GEM": AGEM, "ER": ER}


def make_method(settings: Any, network: Any, task_stream: Any, rng: Any) -> VAN:
    """Returns the method that --imp-method names, around a network and an optimizer of its own."""
    return METHODS[settings.imp_method](settings, network, task_stream, rng)
