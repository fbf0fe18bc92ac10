"""A-GEM; see tag_repro.tag.methods.agem."""

from tag_repro.tag.methods.agem import AGEM as AGEM
from tag_repro.tag.methods.agem import project as project
