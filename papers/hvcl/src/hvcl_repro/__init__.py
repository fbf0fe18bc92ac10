"""HVCL: hierarchically structured task-agnostic continual learning, re-implemented.

Importing this package imports no framework.  Layers are in `hvcl_repro.layers`.
"""
