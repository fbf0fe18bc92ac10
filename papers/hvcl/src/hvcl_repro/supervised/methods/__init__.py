"""The methods by their command-line names.  A new one is a class in a file of its family and a line here.

"-gr": the same method, given an auto-encoder whose images of old tasks are replayed; "-vae": given one that
is trained alongside and not replayed.
"""

from hvcl_repro.supervised.methods.ewc import EWC
from hvcl_repro.supervised.methods.hvcl import HVCL
from hvcl_repro.supervised.methods.lwf import LwF
from hvcl_repro.supervised.methods.plain import FineTune, ReInit
from hvcl_repro.supervised.methods.si import SI
from hvcl_repro.supervised.methods.ucl import UCL

Method = HVCL | FineTune | ReInit | EWC | SI | UCL | LwF

METHODS: dict[str, type[Method]] = {
    "hvcl": HVCL,
    "vcl": HVCL,  # of one expert, as the networks are built
    "hvcl-gr": HVCL,
    "vcl-gr": HVCL,
    "hvcl-vae": HVCL,
    "fine-tune": FineTune,
    "fine-tune-gr": FineTune,
    "re-init": ReInit,
    "joint": FineTune,  # on everything at once, as the loop gives it
    "ewc": EWC,
    "ewc-gr": EWC,
    "si": SI,
    "si-gr": SI,
    "ucl": UCL,
    "lwf": LwF,
}
