"""Predictions written as CSV and JSON and read back."""

import csv
import io
import json

import numpy as np
import pytest
from refusals import refused

from scalesearch.deploy.predictions import (
    Prediction,
    UnreadableImage,
    csv_prediction_writer,
    json_prediction_writer,
    probabilities,
    to_printable,
)
from scalesearch.errors import ExportError

HOSTILE_NAME = 'a,"b"\n\x1b[2Jc\udcff.png'


def prediction(image="a.png"):
    logits = np.array([0.0, 2.0, 1.0], np.float32)
    return Prediction(image, ("ant", "bee", "cow,calf"), logits, probabilities(logits, 1.0))


def csv_text(path):
    return io.StringIO(path.read_bytes().decode(), newline="")


def test_a_csv_row_holds_the_best_classes_or_the_reason(tmp_path):
    with csv_prediction_writer(tmp_path / "new" / "out.csv", 2) as write:
        write(prediction())
        write(UnreadableImage("b.png", "an empty file"))
    rows = list(csv.DictReader(csv_text(tmp_path / "new" / "out.csv")))
    assert rows[0] == {
        "image": "a.png", "class_1": "bee", "probability_1": "0.665241",
        "class_2": "cow,calf", "probability_2": "0.244728", "reason": "",
    }  # fmt: skip
    assert rows[1] == {**dict.fromkeys(rows[0], ""), "image": "b.png", "reason": "an empty file"}


def test_csv_cells_beyond_the_number_of_classes_are_empty(tmp_path):
    with csv_prediction_writer(tmp_path / "out.csv", 5) as write:
        write(prediction())
    header, row = csv.reader(csv_text(tmp_path / "out.csv"))
    assert len(header) == len(row) == 12
    assert row[5] == "ant"
    assert row[7:] == [""] * 5


def test_csv_keeps_names_of_any_bytes(tmp_path):
    with csv_prediction_writer(tmp_path / "out.csv", 1) as write:
        write(prediction(HOSTILE_NAME))
    _, row = csv.reader(csv_text(tmp_path / "out.csv"))
    assert row[0] == HOSTILE_NAME.replace("\udcff", "\\udcff")
    assert to_printable(HOSTILE_NAME) == 'a,"b"\\n\\x1b[2Jc\\udcff.png'
    assert to_printable("Ærø 日本.png") == "Ærø 日本.png"


def test_an_interrupted_csv_file_leaves_the_old_one(tmp_path):
    (tmp_path / "out.csv").write_text("old")

    def broken():
        with csv_prediction_writer(tmp_path / "out.csv", 1) as write:
            write(prediction())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_csv_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "out.csv", tmp_path / "folder"):
        with (
            refused(ExportError),
            csv_prediction_writer(path, 1),
        ):
            pass
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "predictions", [[], [prediction()], [prediction(HOSTILE_NAME), UnreadableImage("b", "no")]]
)
def test_the_json_document_is_complete_for_any_predictions(predictions):
    file = io.StringIO()
    with json_prediction_writer(file, {"network": "n", "temperature": 1.5}, 2) as write:
        for given in predictions:
            write(given)
    document = json.loads(file.getvalue())
    assert (document["network"], document["temperature"]) == ("n", 1.5)
    assert document["images"] == len(document["predictions"]) == len(predictions)
    assert document["skipped"] == sum(isinstance(given, UnreadableImage) for given in predictions)
    for given, row in zip(predictions, document["predictions"], strict=True):
        assert row["image"] == given.image
        if isinstance(given, UnreadableImage):
            assert row == {"image": "b", "reason": "no"}
        else:
            best = [(answer["class"], answer["probability"]) for answer in row["answers"]]
            assert best == [(answer.class_name, answer.probability) for answer in given.top(2)]
