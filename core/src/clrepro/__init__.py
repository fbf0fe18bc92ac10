"""Shared core of the cl-repro suite; see core/README.md for the map of its modules."""

__version__ = "0.1.0"
