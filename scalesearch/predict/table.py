"""Answers as rows of a CSV file, or as one JSON document, written as they come."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from scalesearch.errors import ExportError
from scalesearch.predict.prediction import Prediction, Refused

Write = Callable[[Prediction | Refused], None]


@contextmanager
def csv_file(path: Path, top: int) -> Iterator[Write]:
    """What to call with each answer; the file has its name once the block has succeeded.

    Columns: ``image``, ``class_1``, ``probability_1`` and so on to ``top``, most probable first,
    and ``reason``, which is empty but for an image that has no answer. See ``readable``.
    Raises ExportError where it cannot be written.
    """
    torn = path.with_name(f".{path.name}.partial")
    with _refused(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = torn.open("w", encoding="utf-8", newline="")
    try:
        with file:
            rows = csv.writer(file)

            def write(cells: list[str]) -> None:
                with _refused(path):
                    rows.writerow(map(readable, cells))

            write(columns(top))
            yield lambda answer: write(row(answer, top))
            with _refused(path):
                file.flush()
        with _refused(path):
            os.replace(torn, path)
    finally:
        torn.unlink(missing_ok=True)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{path}: need a file that can be written, got {error.strerror or error}; choose "
            "another --csv"
        ) from error


@contextmanager
def json_document(file: TextIO, head: Mapping[str, Any], top: int) -> Iterator[Write]:
    """What to call with each answer; the document is whole once the block has succeeded.

    It has the keys of ``head``, then ``predictions``, a list in which each image has ``answers`` or
    a ``reason``, and last how many ``images`` and how many of them ``skipped`` there are.
    """
    counts = {"images": 0, "skipped": 0}

    def write(answer: Prediction | Refused) -> None:
        file.write(",\n    " if counts["images"] else "\n    ")
        file.write(json.dumps(_entry(answer, top), allow_nan=False))
        counts["images"] += 1
        counts["skipped"] += isinstance(answer, Refused)

    file.write(json.dumps(dict(head), indent=2, allow_nan=False)[: -len("\n}")])
    file.write(',\n  "predictions": [')
    yield write
    file.write("\n  ]," + json.dumps(counts, indent=2)[1:] + "\n")


def _entry(answer: Prediction | Refused, top: int) -> dict[str, Any]:
    if isinstance(answer, Refused):
        return {"image": answer.image, "reason": answer.reason}
    guesses = answer.top(top)
    answers = [{"class": one.class_name, "probability": one.probability} for one in guesses]
    return {"image": answer.image, "answers": answers}


def columns(top: int) -> list[str]:
    """The names of a row's cells."""
    ranked = [name for n in range(1, top + 1) for name in (f"class_{n}", f"probability_{n}")]
    return ["image", *ranked, "reason"]


def row(answer: Prediction | Refused, top: int) -> list[str]:
    """The cells of an answer; of fewer classes than ``top`` the last ones are empty."""
    if isinstance(answer, Refused):
        return [answer.image, *[""] * 2 * top, answer.reason]
    cells = [
        cell for guess in answer.top(top) for cell in (guess.class_name, f"{guess.probability:.6f}")
    ]
    return [answer.image, *cells, *[""] * (2 * top - len(cells)), ""]


def readable(text: str) -> str:
    """Bytes of a path that are no UTF-8 are spelled out, since no file of text can hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def safe(text: str) -> str:
    """Fit for a terminal: what a file or a class is called cannot move its cursor."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
