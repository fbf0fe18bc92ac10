"""The methods by the names of --opt.  A new one is a class in a file of its own and a line here."""

from typing import Any

from tag_repro.tag.methods.agem import AGEM
from tag_repro.tag.methods.er import ER
from tag_repro.tag.methods.ewc import EWC
from tag_repro.tag.methods.naive import Naive

METHODS: dict[str, type[Any]] = {"": Naive, "ewc": EWC, "agem": AGEM, "er": ER}
