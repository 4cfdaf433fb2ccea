"""All the rules that a record's fields break, told at once."""

from typing import NamedTuple


class Check(NamedTuple):
    """A field, whether its value is allowed, and the rule in words."""

    field: str
    holds: bool
    rule: str


def require_all(config: object, *checks: Check) -> None:
    """Raise ValueError with a line for each rule that does not hold."""
    problems = [
        f"{field}: need {rule}, got {getattr(config, field)!r}"
        for field, holds, rule in checks
        if not holds
    ]
    if problems:
        raise ValueError("\n".join(problems))
