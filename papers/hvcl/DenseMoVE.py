"""The dense layer under the original's file name.  See README.md."""

from hvcl_repro.layers import DenseMoVE as DenseMoVE
from hvcl_repro.layers import MoVE as MoVE

DenseMoE = DenseMoVE  # as the original's README calls it
