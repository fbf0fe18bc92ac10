"""EWC; see tag_repro.methods.ewc."""

from tag_repro.methods.ewc import EWC as EWC
