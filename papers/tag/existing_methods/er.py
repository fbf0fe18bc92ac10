"""Experience replay; see tag_repro.tag.methods.er."""

from tag_repro.tag.methods.er import ER as ER
