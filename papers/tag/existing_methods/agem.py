"""A-GEM; see tag_repro.methods.agem."""

from tag_repro.methods.agem import AGEM as AGEM
from tag_repro.methods.agem import project as project
