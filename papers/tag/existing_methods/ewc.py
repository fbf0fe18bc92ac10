"""EWC; see tag_repro.tag.methods.ewc."""

from tag_repro.tag.methods.ewc import EWC as EWC
