"""What a network answers to an image, as frozen data.

Answers as rows of a CSV file, or as one JSON document, written as they come.
"""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from scalesearch.errors import ExportError


@dataclass(frozen=True, slots=True)
class ClassProbability:
    """A class, and how probable the network takes it to be."""

    class_name: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answer to one image.

    ``image``: its path as it was given, or its place among those given. ``logits``: float32 (K,),
    as the network gives them. ``probabilities``: float64 (K,), of the logits divided by the
    preparation's temperature; they sum to one.
    """

    image: str
    class_names: tuple[str, ...]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]

    def top(self, count: int = 5) -> tuple[ClassProbability, ...]:
        """The most probable classes, the first of them first; of equal ones the lower class."""
        top_classes = np.argsort(-self.logits, kind="stable")[:count]
        return tuple(
            ClassProbability(self.class_names[k], float(self.probabilities[k])) for k in top_classes
        )


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """An image that has no answer, and why."""

    image: str
    reason: str


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """The softmax of logits (..., K) divided by a temperature."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted / temperature)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def class_labels(class_names: Sequence[str], count: int) -> tuple[str, ...]:
    """The names of the classes, or their numbers from 0 where they have none."""
    return tuple(class_names) or tuple(str(number) for number in range(count))


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
def json_prediction_writer(
    file: TextIO, header: Mapping[str, Any], top: int
) -> Iterator[WritePrediction]:
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
    class_documents = [
        {"class": class_probability.class_name, "probability": class_probability.probability}
        for class_probability in class_probabilities
    ]
    return {"image": prediction.image, "answers": class_documents}


def prediction_columns(top: int) -> list[str]:
    """The names of a row's cells."""
    ranked_columns = [
        name for n in range(1, top + 1) for name in (f"class_{n}", f"probability_{n}")
    ]
    return ["image", *ranked_columns, "reason"]


def prediction_row(prediction: Prediction | UnreadableImage, top: int) -> list[str]:
    """The cells of an answer; of fewer classes than ``top`` the last ones are empty."""
    if isinstance(prediction, UnreadableImage):
        return [prediction.image, *[""] * 2 * top, prediction.reason]
    cells = [
        cell
        for class_probability in prediction.top(top)
        for cell in (class_probability.class_name, f"{class_probability.probability:.6f}")
    ]
    return [prediction.image, *cells, *[""] * (2 * top - len(cells)), ""]


def to_valid_utf8(text: str) -> str:
    """Bytes of a path that are no UTF-8 are spelled out, since no file of text can hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_printable(text: str) -> str:
    """Fit for a terminal: what a file or a class is called cannot move its cursor."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
