"""The methods by the names of --imp-method.  A new one is a class in a file of its own and a line here."""

from tag_repro.tensorflow.methods.agem import AGEM
from tag_repro.tensorflow.methods.er import ER
from tag_repro.tensorflow.methods.ewc import EWC
from tag_repro.tensorflow.methods.van import VAN

METHODS: dict[str, type[VAN]] = {"VAN": VAN, "EWC": EWC, "A-GEM": AGEM, "ER": ER}
