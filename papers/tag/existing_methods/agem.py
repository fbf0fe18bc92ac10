"""A-GEM; see tag_repro.tag.methods.agem."""

from clrepro.adapters.agem import project as project
from tag_repro.tag.methods.agem import AGEM as AGEM
