"""How the parts of an experiment refuse what breaks their rules: all of it at once."""

from collections.abc import Iterable


def raise_problems(problems: Iterable[str]) -> None:
    """Raise ValueError with one line for each problem, if there is any."""
    if lines := list(problems):
        raise ValueError("\n".join(lines))
