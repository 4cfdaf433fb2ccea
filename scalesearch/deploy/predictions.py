"""Predictions as frozen data, and as rows of a CSV file or one JSON document."""

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
    """A class and its probability."""

    class_name: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Prediction for one image.

    ``image``: its path as given, or its index. ``logits``: float32 (K,). ``probabilities``:
    float64 (K,), of the logits divided by the preparation's temperature; they sum to one.
    """

    image: str
    class_names: tuple[str, ...]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]

    def top(self, count: int = 5) -> tuple[ClassProbability, ...]:
        """Return the most probable classes in order; of equal ones the lower class first."""
        top_classes = np.argsort(-self.logits, kind="stable")[:count]
        return tuple(
            ClassProbability(self.class_names[k], float(self.probabilities[k])) for k in top_classes
        )


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """An image without a prediction, and the reason."""

    image: str
    reason: str


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Softmax of logits (..., K) divided by a temperature."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted / temperature)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def class_labels(class_names: Sequence[str], count: int) -> tuple[str, ...]:
    """Names of the classes, or their numbers from 0 without names."""
    return tuple(class_names) or tuple(str(number) for number in range(count))


WritePrediction = Callable[[Prediction | UnreadableImage], None]


@contextmanager
def csv_prediction_writer(path: Path, top: int) -> Iterator[WritePrediction]:
    """Yield a function that writes each prediction to a CSV file.

    Columns: ``image``, ``class_1``, ``probability_1`` and so on to ``top``, most probable first,
    and ``reason``, which is empty except for an unreadable image. See ``to_valid_utf8``. Raises
    ExportError if the file cannot be written.
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
    """Yield a function that writes each prediction; the document ends with the block.

    It has the keys of ``header``, then ``predictions``, a list in which each image has ``answers``
    or a ``reason``, and finally the numbers of ``images`` and of ``skipped`` ones.
    """
    counts = {"images": 0, "skipped": 0}

    def write(prediction: Prediction | UnreadableImage) -> None:
        """Write a prediction as an element of the list."""
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
    """Names of a row's cells."""
    ranked_columns = [
        name for n in range(1, top + 1) for name in (f"class_{n}", f"probability_{n}")
    ]
    return ["image", *ranked_columns, "reason"]


def prediction_row(prediction: Prediction | UnreadableImage, top: int) -> list[str]:
    """Cells of a prediction; with fewer classes than ``top`` the last ones are empty."""
    if isinstance(prediction, UnreadableImage):
        return [prediction.image, *[""] * 2 * top, prediction.reason]
    cells = [
        cell
        for class_probability in prediction.top(top)
        for cell in (class_probability.class_name, f"{class_probability.probability:.6f}")
    ]
    return [prediction.image, *cells, *[""] * (2 * top - len(cells)), ""]


def to_valid_utf8(text: str) -> str:
    """Escape bytes of a path that are not UTF-8, since a text file cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_printable(text: str) -> str:
    """Escape control characters, so that a name cannot move the terminal's cursor."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
