"""Experience replay; see tag_repro.methods.er."""

from tag_repro.methods.er import ER as ER
