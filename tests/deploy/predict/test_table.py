"""Answers as CSV and JSON: what others read of them is what there was."""

import csv
import io
import json

import numpy as np
import pytest

from scalesearch.deploy.predictions import (
    Prediction,
    UnreadableImage,
    csv_prediction_writer,
    json_prediction_writer,
    probabilities,
    to_printable,
)
from scalesearch.errors import ExportError

NASTY = 'a,"b"\n\x1b[2Jc\udcff.png'


def prediction(image="a.png"):
    logits = np.array([0.0, 2.0, 1.0], np.float32)
    return Prediction(image, ("ant", "bee", "cow,calf"), logits, probabilities(logits, 1.0))


def content(path):
    return io.StringIO(path.read_bytes().decode(), newline="")


def test_a_row_holds_the_best_classes_or_the_reason(tmp_path):
    with csv_prediction_writer(tmp_path / "new" / "out.csv", 2) as write:
        write(prediction())
        write(UnreadableImage("b.png", "an empty file"))
    rows = list(csv.DictReader(content(tmp_path / "new" / "out.csv")))
    assert rows[0] == {
        "image": "a.png", "class_1": "bee", "probability_1": "0.665241",
        "class_2": "cow,calf", "probability_2": "0.244728", "reason": "",
    }  # fmt: skip
    assert rows[1] == {**dict.fromkeys(rows[0], ""), "image": "b.png", "reason": "an empty file"}


def test_more_answers_than_classes_leave_cells_empty(tmp_path):
    with csv_prediction_writer(tmp_path / "out.csv", 5) as write:
        write(prediction())
    header, row = csv.reader(content(tmp_path / "out.csv"))
    assert len(header) == len(row) == 12
    assert row[5] == "ant"
    assert row[7:] == [""] * 5


def test_names_of_any_bytes_come_through(tmp_path):
    with csv_prediction_writer(tmp_path / "out.csv", 1) as write:
        write(prediction(NASTY))
    _, row = csv.reader(content(tmp_path / "out.csv"))
    assert row[0] == NASTY.replace("\udcff", "\\udcff")
    assert to_printable(NASTY) == 'a,"b"\\n\\x1b[2Jc\\udcff.png'
    assert to_printable("Ærø 日本.png") == "Ærø 日本.png"


def test_a_table_that_came_to_no_end_leaves_the_old_one(tmp_path):
    (tmp_path / "out.csv").write_text("old")

    def broken():
        with csv_prediction_writer(tmp_path / "out.csv", 1) as write:
            write(prediction())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "out.csv", tmp_path / "folder"):
        with (
            pytest.raises(ExportError, match=f"{place}: need a file that can be written"),
            csv_prediction_writer(place, 1),
        ):
            pass
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "answers", [[], [prediction()], [prediction(NASTY), UnreadableImage("b", "no")]]
)
def test_the_document_is_whole_whatever_there_was(answers):
    file = io.StringIO()
    with json_prediction_writer(file, {"network": "n", "temperature": 1.5}, 2) as write:
        for answer in answers:
            write(answer)
    document = json.loads(file.getvalue())
    assert (document["network"], document["temperature"]) == ("n", 1.5)
    assert document["images"] == len(document["predictions"]) == len(answers)
    assert document["skipped"] == sum(isinstance(answer, UnreadableImage) for answer in answers)
    for answer, entry in zip(answers, document["predictions"], strict=True):
        assert entry["image"] == answer.image
        if isinstance(answer, UnreadableImage):
            assert entry == {"image": "b", "reason": "no"}
        else:
            best = [(one["class"], one["probability"]) for one in entry["answers"]]
            assert best == [(one.class_name, one.probability) for one in answer.top(2)]
