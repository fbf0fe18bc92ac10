"""The shared network's initial weights.  The program is mer_repro.init."""

from mer_repro.init import glorot_mlp as glorot_mlp
