"""Validation of user input against dataclasses; the only user of pydantic.

All problems are reported at once, each with its dotted path, the rule, and the value.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_type_hints

from scalesearch.errors import ExperimentError, closest_choice

if TYPE_CHECKING:
    from pydantic import ValidationError

Validated = TypeVar("Validated")


def validate_document(
    kind: type[Validated], document: Any, origin: str, problems: list[str]
) -> Validated:
    """Validate a mapping and build its dataclass, or raise with all problems."""
    from pydantic import TypeAdapter, ValidationError  # recipes are made without it

    if not isinstance(document, Mapping):
        raise ExperimentError(f"{origin}: need a mapping of keys to values, got {document!r}")
    problems.extend(_unknown_keys(kind, document))
    try:
        # JSON's strict mode fits users: no text for a number, no `true` for 1.
        text = json.dumps(document, default=str)
        instance = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        problems.extend(_validation_problems(error))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ExperimentError(f"{origin}: {_problem_count(problems)} to mend:\n{lines}")
    return instance


def suggestion(word: object, choices: Iterable[str]) -> str:
    """Closest choice to an unknown word, or all choices."""
    choices = sorted(choices)
    close = closest_choice(word, choices)
    return f"did you mean {close!r}?" if close else f"known are {', '.join(choices)}"


def _unknown_keys(kind: type, document: Mapping[str, Any], path: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    for key, value in document.items():
        if key not in hints:
            yield f"{path}{key}: unknown key; {suggestion(key, hints)}"
        else:
            item_class = _dataclass_in(hints[key])
            is_list = isinstance(value, list)
            for index, item in enumerate(value if is_list else [value]):
                if item_class is not None and isinstance(item, Mapping):
                    item_path = f"{path}{key}.{index}." if is_list else f"{path}{key}."
                    yield from _unknown_keys(item_class, item, item_path)


def _dataclass_in(hint: Any) -> type | None:
    """Dataclass that a type hint is, allows or contains."""
    parts = (hint, *get_args(hint))
    return next((p for p in parts if isinstance(p, type) and dataclasses.is_dataclass(p)), None)


def _validation_problems(error: "ValidationError") -> Iterator[str]:
    """pydantic's problems as ``dotted.path: rule, got value``."""
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"]
        if problem["type"] == "value_error":
            prefix = f"{path}." if path else ""
            for rule in message.removeprefix("Value error, ").splitlines():
                yield f"{path}: {rule}" if path and rule.startswith("need ") else f"{prefix}{rule}"
        elif problem["type"] == "literal_error":
            choices = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            yield f"{path}: unknown {problem['input']!r}; {suggestion(problem['input'], choices)}"
        elif problem["type"] == "missing":
            yield f"{path}: this key is required"
        else:
            yield f"{path}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"


def _problem_count(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


class Check(NamedTuple):
    """A field, whether its value is allowed, and the rule as text."""

    field: str
    holds: bool
    rule: str
    problem: str | None = None
    """Text after ``field:`` instead of "need RULE, got VALUE"."""


def require_all(config: object, *checks: Check) -> None:
    """Raise ValueError with a line for each rule that does not hold."""
    lines = [
        f"{field}: {problem or f'need {rule}, got {getattr(config, field)!r}'}"
        for field, holds, rule, problem in checks
        if not holds
    ]
    if lines:
        raise ValueError("\n".join(lines))
