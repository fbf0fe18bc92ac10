"""The TAG optimizer; see tag_repro.optim.tag."""

from tag_repro import TAG as TAG
