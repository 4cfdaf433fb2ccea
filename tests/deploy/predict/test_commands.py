"""One command says what is in images, another how far that can be believed."""

import csv
import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from scalesearch.config.experiment import DataSpec, Experiment
from scalesearch.deploy.classifier import Classifier
from scalesearch.io import to_document
from scalesearch.reporting.terminal import display
from scalesearch.results.run_folder import SCHEMA
from scalesearch.training.network_file import read_network


@pytest.fixture
def on(digits, run):
    """Run ``scalesearch predict`` with the network on some images and options."""
    return lambda *rest: run("predict", digits.network, *rest, "--device", "cpu")


@pytest.fixture
def mixed(digits, tmp_path):
    """A folder of two digits and of all that can be wrong with an image."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number, path in enumerate(digits.tested[:2]):
        shutil.copy(path, folder / f"{number}.png")
    whole = digits.tested[0].read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_text("<html><body>404</body></html>")
    (folder / "passwd.png").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text("no image")
    return folder


REASONS = {
    "cut.png": "OSError: image file is truncated",
    "empty.jpg": "an empty file",
    "page.jpg": "not an image: it begins with b'<html>",
    "passwd.png": "a link that leads out of the folder",
}


def test_a_line_for_each_image_says_what_is_in_it(digits, on):
    images = digits.tested[:3]
    code, out, err = on(*images, "--top", 2)
    assert code == 0, err
    answers = Classifier.read(digits.network, "cpu").predict_batch(images, 64)
    expected = [
        f"{answer.image}   {first.class_name} {first.probability:.4f}   "
        f"{second.class_name} {second.probability:.4f}"
        for answer in answers
        for first, second in [answer.top(2)]
    ]
    assert out.splitlines() == expected
    assert re.fullmatch(r"3 images   0 skipped   [\d,]+ img/s\n", err)


def test_broken_images_are_skipped_and_named_and_the_exit_code_tells(mixed, on):
    code, out, err = on(mixed)
    assert code == 2
    assert [line.split("   ")[0] for line in out.splitlines()] == [
        str(mixed / "0.png"), str(mixed / "1.png"),
    ]  # fmt: skip
    for name, reason in REASONS.items():
        assert f"skipped: {mixed / name}: {reason}" in err
    assert "6 images   4 skipped" in err
    assert "Traceback" not in err


def test_the_table_has_a_row_for_each_image_with_the_reason_of_each_skipped_one(mixed, on):
    out_path = mixed.parent / "out.csv"
    code, out, err = on(mixed, "--csv", out_path, "--batch", 2)
    assert (code, out) == (2, "")
    assert f"img/s   {out_path}" in err
    rows = {row["image"]: row for row in csv.DictReader(io.StringIO(out_path.read_text()))}
    assert len(rows) == 6
    for name, reason in REASONS.items():
        row = rows[str(mixed / name)]
        assert row["reason"].startswith(reason)
        assert row["class_1"] == ""
    assert rows[str(mixed / "0.png")]["reason"] == ""
    assert float(rows[str(mixed / "0.png")]["probability_1"]) > 0.1


def test_the_document_says_the_same(mixed, on, digits):
    code, out, _ = on(mixed, "--json", "--top", 3)
    document = json.loads(out)
    assert code == 2
    assert (document["name"], document["temperature"]) == ("digits", 1.0)
    assert (document["images"], document["skipped"]) == (6, 4)
    entries = {entry["image"]: entry for entry in document["predictions"]}
    assert len(entries[str(mixed / "0.png")]["answers"]) == 3
    assert entries[str(mixed / "empty.jpg")] == {
        "image": str(mixed / "empty.jpg"), "reason": "an empty file",
    }  # fmt: skip


def test_of_many_skipped_images_the_first_are_named_and_all_counted(tmp_path, on):
    for number in range(23):
        (tmp_path / f"{number:02}.png").touch()
    code, out, err = on(tmp_path)
    assert (code, out) == (2, "")
    assert "19.png: an empty file" in err
    assert "20.png" not in err
    assert "skipped: 3 more; --csv lists them all" in err


def test_progress_is_told_where_the_lines_do_not(digits, on, monkeypatch, tmp_path):
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0.0)
    _, _, err = on(digits.folder / "test" / "0", "--csv", tmp_path / "out.csv")
    count = len(list((digits.folder / "test" / "0").iterdir()))
    assert f"1/{count} images" in err
    assert f"{count}/{count} images" in err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _, out, err = on(digits.folder / "test" / "0")
    assert len(out.splitlines()) == count
    assert len(err.splitlines()) == 1


def test_names_cannot_move_the_cursor(digits, on, tmp_path):
    shutil.copy(digits.tested[0], tmp_path / "\x1b[2J.png")
    (tmp_path / "\x1b[31m.png").touch()
    _, out, err = on(tmp_path)
    assert "\x1b" not in out + err
    assert "\\x1b[2J.png" in out
    assert "\\x1b[31m.png: an empty file" in err


@pytest.mark.parametrize("rest", [(), ("--csv", "out.csv")])
def test_a_folder_without_images_is_refused(on, tmp_path, rest, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = on("empty", *rest)
    assert (code, out) == (2, "")
    assert err == "predict: need images, got none in empty; give their folder or files\n"
    assert not (tmp_path / "out.csv").exists()


def test_a_network_that_is_none_is_refused(run, digits, tmp_path):
    whole = digits.network.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    for name in ("cut.safetensors", "absent.safetensors"):
        code, out, err = run("predict", tmp_path / name, digits.tested[0])
        assert (code, out) == (2, "")
        assert name in err
        assert "Traceback" not in err


def test_a_device_that_there_is_not_is_refused(run, digits):
    code, _, err = run("predict", digits.network, digits.tested[0], "--device", "tpu")
    assert code == 2
    assert "device: need auto, cpu or cuda, got 'tpu'" in err


@pytest.fixture
def source(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"imagefolder:{digits.folder}"


def test_a_network_is_calibrated_into_a_new_file_which_prediction_then_follows(
    digits, run, source, tmp_path
):
    out = tmp_path / "milder.safetensors"
    options = ("--data", source, "--out", out, "--device", "cpu")
    drawn = ("--figure", tmp_path / "sure.png")
    code, told, err = run("calibrate-probabilities", digits.network, *options, *drawn, "--json")
    assert code == 0, err
    with Image.open(tmp_path / "sure.png") as image:
        assert image.width > 300
    found = json.loads(told)
    value = found["temperature"]
    assert read_network(out).preparation.temperature == value
    assert found["previous"] == 1.0
    before, after = found["validation"]
    assert after["nll"] < before["nll"]
    assert before["bins"] == 15
    assert [part["images"] for part in found["test"]] == [len(digits.labels)] * 2
    _, told, _ = run("predict", out, digits.tested[0], "--device", "cpu", "--json")
    assert json.loads(told)["temperature"] == value
    code, _, err = run("calibrate-probabilities", digits.network, *options)
    assert code == 2
    assert "milder.safetensors: need a new file, got one that is there" in err


def test_beside_the_record_of_its_run_a_network_needs_no_data_to_be_named(
    digits, run, source, tmp_path
):
    home = tmp_path / "run"
    home.mkdir()
    shutil.copy(digits.network, home / "network.safetensors")
    code, _, err = run("calibrate-probabilities", home / "network.safetensors")
    assert code == 2
    assert "need images to calibrate on, got none, nor the folder of a run; give --data" in err
    data = DataSpec(source=source, validation_samples=100)
    asked = to_document(Experiment(name="digits", data=data, seed=3))
    document = {"schema": SCHEMA, "asked": asked, "fingerprint": "", "data": {}, "results": {}}
    (home / "run.json").write_text(json.dumps(document))
    code, told, err = run(
        "calibrate-probabilities", home / "network.safetensors", "--device", "cpu"
    )
    assert code == 0, err
    assert "validation (100)" in told
    assert f"test ({len(digits.labels)})" in told
    assert "ece over 15 bins of confidence" in told
    new = read_network(home / "network-calibrated.safetensors")
    assert f"temperature {new.preparation.temperature:.4f}" in told


def test_images_of_other_classes_are_refused_and_nothing_is_written(digits, run, source, tmp_path):
    folder = tmp_path / "other"
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), number).save(folder / name / f"{number}.png")
    out = tmp_path / "new.safetensors"
    options = ("--data", f"imagefolder:{folder}", "--out", out, "--device", "cpu")
    code, told, err = run("calibrate-probabilities", digits.network, *options)
    assert (code, told) == (2, "")
    assert "need the 10 classes of the network" in err
    assert not out.exists()


@pytest.mark.slow
def test_a_network_from_training_answers_as_its_run_says_and_is_calibrated_where_it_lies(
    digits, run, source, tmp_path
):
    folder = tmp_path / "run"
    size = ("--width", 0.25, "--depth", 0.3, "--resolution", 12, "--stem-stride", 1)
    settings = ("--set", "epochs=2", "--set", "data.pixels=14", "--set", "evaluation_scale=1.2")
    command = ("train", "efficientnet_b0", *size, "--data", source, "--device", "cpu", *settings)
    code, _, err = run(*command, "--set", "batch_size=32", "--out", folder)
    assert code == 0, err
    network, table = folder / "network.safetensors", tmp_path / "out.csv"
    code, _, err = run("predict", network, digits.folder / "test", "--csv", table, "--batch", 256)
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    right = [row["class_1"] == Path(row["image"]).parent.name for row in rows]
    found = json.loads((folder / "metrics.json").read_text())
    assert sum(right) / len(right) == found["test"]["top1"]
    code, told, err = run("calibrate-probabilities", network, "--device", "cpu", "--json")
    assert code == 0, err
    calibration = json.loads(told)
    assert calibration["validation"][0]["accuracy"] == found["validation"]["top1"]
    assert calibration["validation"][0]["images"] == found["validation"]["images"]
    assert calibration["test"][0]["accuracy"] == found["test"]["top1"]
