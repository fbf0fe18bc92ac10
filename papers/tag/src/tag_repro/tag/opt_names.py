"""What --opt means: an optimizer, a method around it, or both, joined by a hyphen."""

from dataclasses import dataclass

from clrepro.errors import UsageError

OPTIMIZERS = {"": "sgd", "sgd": "sgd", "rms": "rms", "adagrad": "adagrad", "adam": "adam", "tag": "tag"}
WRAPPERS = ("ewc", "agem", "er")


@dataclass(frozen=True)
class Method:
    """optimizer — sgd, rms, adagrad, adam or tag; wrapper — ewc, agem, er, or nothing."""

    optimizer: str = "sgd"
    wrapper: str = ""

    @property
    def name(self) -> str:
        """The method as tables call it."""
        return "-".join(part for part in (self.optimizer, self.wrapper) if part)


def parse_opt(text: str) -> Method:
    """Returns the method that e.g. '', 'rms', 'er' or 'tag-ewc' names, in either order.

    Raises: UsageError for an unknown word or two of a kind.
    Differs from the original: it looks for letters anywhere in the text; any word with "er" is replay there.
    """
    words = [word for word in text.split("-") if word]
    optimizers = [word for word in words if word in OPTIMIZERS]
    wrappers = [word for word in words if word in WRAPPERS]
    if len(optimizers) + len(wrappers) < len(words) or len(optimizers) > 1 or len(wrappers) > 1:
        known = ", ".join(word for word in OPTIMIZERS if word)
        raise UsageError(
            f"--opt {text!r}: at most one of {known} and one of {', '.join(WRAPPERS)}, e.g. tag-er"
        )
    return Method(OPTIMIZERS[optimizers[0]] if optimizers else "sgd", wrappers[0] if wrappers else "")
