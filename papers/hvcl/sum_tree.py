"""The sum tree under the original's file name.  See README.md."""

from hvcl_repro.rl.experience import SumTree as SumTree
