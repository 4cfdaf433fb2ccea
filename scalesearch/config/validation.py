"""What people write, checked against dataclasses; the only user of pydantic.

All problems are told at once, each with its dotted path, the rule, and what was got.

How the parts of an experiment refuse what breaks their rules: all of it at once.

All the rules that a record's fields break, told at once.
"""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_type_hints

from scalesearch.errors import ExperimentError

if TYPE_CHECKING:
    from pydantic import ValidationError

Validated = TypeVar("Validated")


def validate_document(
    kind: type[Validated], document: Any, origin: str, problems: list[str]
) -> Validated:
    """What a mapping describes, or all that is wrong with it, beside the problems known before."""
    from pydantic import TypeAdapter, ValidationError  # recipes are made without it

    if not isinstance(document, Mapping):
        raise ExperimentError(f"{origin}: need a mapping of keys to values, got {document!r}")
    problems.extend(_unknown_keys(kind, document))
    try:
        # As JSON, where strict means what a person expects: no text for a number, no `true` for 1.
        text = json.dumps(document, default=str)
        instance = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        problems.extend(_validation_problems(error))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ExperimentError(f"{origin}: {_problem_count(problems)} to mend:\n{lines}")
    return instance


def suggestion(word: object, choices: Iterable[str]) -> str:
    """What somebody may have meant by a word, or all the words there are."""
    choices = sorted(choices)
    matches = difflib.get_close_matches(str(word), choices, n=1)
    return f"did you mean {matches[0]!r}?" if matches else f"known are {', '.join(choices)}"


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
    """The dataclass that a hint is, or that it allows or holds."""
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


def raise_problems(problems: Iterable[str]) -> None:
    """Raise ValueError with one line for each problem, if there is any."""
    if lines := list(problems):
        raise ValueError("\n".join(lines))


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
