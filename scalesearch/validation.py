"""What people write, checked against dataclasses; the only user of pydantic.

All problems are told at once, each with its dotted path, the rule, and what was got.
"""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from scalesearch.errors import ExperimentError

Checked = TypeVar("Checked")


def checked(kind: type[Checked], document: Any, where: str, problems: list[str]) -> Checked:
    """What a mapping describes, or all that is wrong with it, beside the problems known before."""
    if not isinstance(document, Mapping):
        raise ExperimentError(f"{where}: need a mapping of keys to values, got {document!r}")
    problems.extend(_unknown_keys(kind, document))
    try:
        # As JSON, where strict means what a person expects: no text for a number, no `true` for 1.
        text = json.dumps(document, default=str)
        described = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        problems.extend(_validation_problems(error))
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ExperimentError(f"{where}: {_count(problems)} to mend:\n{lines}")
    return described


def hint(word: object, known: Iterable[str]) -> str:
    """What somebody may have meant by a word, or all the words there are."""
    known = sorted(known)
    close = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def _unknown_keys(kind: type, document: Mapping[str, Any], path: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    for key, value in document.items():
        if key not in hints:
            yield f"{path}{key}: unknown key; {hint(key, hints)}"
        else:
            part = _dataclass_in(hints[key])
            many = isinstance(value, list)
            for index, item in enumerate(value if many else [value]):
                if part is not None and isinstance(item, Mapping):
                    place = f"{path}{key}.{index}." if many else f"{path}{key}."
                    yield from _unknown_keys(part, item, place)


def _dataclass_in(hint: Any) -> type | None:
    """The dataclass that a hint is, or that it allows or holds."""
    parts = (hint, *get_args(hint))
    return next((p for p in parts if isinstance(p, type) and dataclasses.is_dataclass(p)), None)


def _validation_problems(error: ValidationError) -> Iterator[str]:
    """pydantic's problems as ``dotted.path: rule, got value``."""
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"]
        if problem["type"] == "value_error":
            prefix = f"{path}." if path else ""
            for rule in message.removeprefix("Value error, ").splitlines():
                yield f"{path}: {rule}" if path and rule.startswith("need ") else f"{prefix}{rule}"
        elif problem["type"] == "literal_error":
            known = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            yield f"{path}: unknown {problem['input']!r}; {hint(problem['input'], known)}"
        elif problem["type"] == "missing":
            yield f"{path}: this key is required"
        else:
            yield f"{path}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"


def _count(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
