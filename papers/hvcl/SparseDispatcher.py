"""The dispatcher under the original's file name.  See README.md."""

from hvcl_repro.layers import SparseDispatcher as SparseDispatcher
