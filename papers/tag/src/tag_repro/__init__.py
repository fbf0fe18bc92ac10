"""TAG and Stable SGD: `from tag_repro import TAG` for the optimizer; the rest is behind the command lines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tag_repro.optim import TAG as TAG


def __getattr__(name: str) -> Any:
    """TAG, fetched when asked for: importing the package loads no framework."""
    if name == "TAG":
        from tag_repro.optim import TAG

        return TAG
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
