"""Answers as rows of a CSV file, or as one JSON document, written as they come."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from scalesearch.errors import ExportError
from scalesearch.predict.prediction import Prediction, UnreadableImage

WritePrediction = Callable[[Prediction | UnreadableImage], None]


@contextmanager
def csv_prediction_writer(path: Path, top: int) -> Iterator[WritePrediction]:
    """What to call with each answer; the file has its name once the block has succeeded.

    Columns: ``image``, ``class_1``, ``probability_1`` and so on to ``top``, most probable first,
    and ``reason``, which is empty but for an image that has no answer. See ``readable``.
    Raises ExportError where it cannot be written.
    """
    partial_path = path.with_name(f".{path.name}.partial")
    with _export_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial_path.open("w", encoding="utf-8", newline="")
    try:
        with file:
            csv_writer = csv.writer(file)

            def write(cells: list[str]) -> None:
                with _export_errors(path):
                    csv_writer.writerow(map(to_valid_utf8, cells))

            write(prediction_columns(top))
            yield lambda prediction: write(prediction_row(prediction, top))
            with _export_errors(path):
                file.flush()
        with _export_errors(path):
            os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


@contextmanager
def _export_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{path}: need a file that can be written, got {error.strerror or error}; choose "
            "another --csv"
        ) from error


@contextmanager
def json_prediction_writer(file: TextIO, header: Mapping[str, Any], top: int) -> Iterator[WritePrediction]:
    """What to call with each answer; the document is whole once the block has succeeded.

    It has the keys of ``head``, then ``predictions``, a list in which each image has ``answers`` or
    a ``reason``, and last how many ``images`` and how many of them ``skipped`` there are.
    """
    counts = {"images": 0, "skipped": 0}

    def write(prediction: Prediction | UnreadableImage) -> None:
        file.write(",\n    " if counts["images"] else "\n    ")
        file.write(json.dumps(_prediction_document(prediction, top), allow_nan=False))
        counts["images"] += 1
        counts["skipped"] += isinstance(prediction, UnreadableImage)

    file.write(json.dumps(dict(header), indent=2, allow_nan=False)[: -len("\n}")])
    file.write(',\n  "predictions": [')
    yield write
    file.write("\n  ]," + json.dumps(counts, indent=2)[1:] + "\n")


def _prediction_document(prediction: Prediction | UnreadableImage, top: int) -> dict[str, Any]:
    if isinstance(prediction, UnreadableImage):
        return {"image": prediction.image, "reason": prediction.reason}
    class_probabilities = prediction.top(top)
    class_documents = [{"class": class_probability.class_name, "probability": class_probability.probability} for class_probability in class_probabilities]
    return {"image": prediction.image, "answers": class_documents}


def prediction_columns(top: int) -> list[str]:
    """The names of a row's cells."""
    ranked_columns = [name for n in range(1, top + 1) for name in (f"class_{n}", f"probability_{n}")]
    return ["image", *ranked_columns, "reason"]


def prediction_row(prediction: Prediction | UnreadableImage, top: int) -> list[str]:
    """The cells of an answer; of fewer classes than ``top`` the last ones are empty."""
    if isinstance(prediction, UnreadableImage):
        return [prediction.image, *[""] * 2 * top, prediction.reason]
    cells = [
        cell for class_probability in prediction.top(top) for cell in (class_probability.class_name, f"{class_probability.probability:.6f}")
    ]
    return [prediction.image, *cells, *[""] * (2 * top - len(cells)), ""]


def to_valid_utf8(text: str) -> str:
    """Bytes of a path that are no UTF-8 are spelled out, since no file of text can hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_printable(text: str) -> str:
    """Fit for a terminal: what a file or a class is called cannot move its cursor."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
