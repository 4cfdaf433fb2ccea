"""The commands ``predict`` and ``calibrate-probabilities``."""

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
def run_predict(trained_digits, run):
    """Run ``scalesearch predict`` with the network on some images and options."""
    return lambda *arguments: run(
        "predict", trained_digits.network_file, *arguments, "--device", "cpu"
    )


@pytest.fixture
def mixed_folder(trained_digits, tmp_path):
    """A folder with two digits and one broken image of each kind."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number, path in enumerate(trained_digits.test_image_paths[:2]):
        shutil.copy(path, folder / f"{number}.png")
    content = trained_digits.test_image_paths[0].read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
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


def test_predict_prints_a_line_for_each_image(trained_digits, run_predict):
    images = trained_digits.test_image_paths[:3]
    code, out, err = run_predict(*images, "--top", 2)
    assert code == 0, err
    predictions = Classifier.read(trained_digits.network_file, "cpu").predict_batch(images, 64)
    expected = [
        f"{prediction.image}   {first.class_name} {first.probability:.4f}   "
        f"{second.class_name} {second.probability:.4f}"
        for prediction in predictions
        for first, second in [prediction.top(2)]
    ]
    assert out.splitlines() == expected
    assert re.fullmatch(r"3 images   0 skipped   [\d,]+ img/s\n", err)


def test_predict_names_broken_images_and_exits_with_2(mixed_folder, run_predict):
    code, out, err = run_predict(mixed_folder)
    assert code == 2
    assert [line.split("   ")[0] for line in out.splitlines()] == [
        str(mixed_folder / "0.png"), str(mixed_folder / "1.png"),
    ]  # fmt: skip
    for name, reason in REASONS.items():
        assert f"skipped: {mixed_folder / name}: {reason}" in err
    assert "6 images   4 skipped" in err
    assert "Traceback" not in err


def test_predict_csv_has_a_row_for_each_image(mixed_folder, run_predict):
    out_path = mixed_folder.parent / "out.csv"
    code, out, err = run_predict(mixed_folder, "--csv", out_path, "--batch", 2)
    assert (code, out) == (2, "")
    assert f"img/s   {out_path}" in err
    rows = {row["image"]: row for row in csv.DictReader(io.StringIO(out_path.read_text()))}
    assert len(rows) == 6
    for name, reason in REASONS.items():
        row = rows[str(mixed_folder / name)]
        assert row["reason"].startswith(reason)
        assert row["class_1"] == ""
    assert rows[str(mixed_folder / "0.png")]["reason"] == ""
    assert float(rows[str(mixed_folder / "0.png")]["probability_1"]) > 0.1


def test_predict_json_lists_predictions_and_reasons(mixed_folder, run_predict, trained_digits):
    code, out, _ = run_predict(mixed_folder, "--json", "--top", 3)
    document = json.loads(out)
    assert code == 2
    assert (document["name"], document["temperature"]) == ("digits", 1.0)
    assert (document["images"], document["skipped"]) == (6, 4)
    row_of_image = {row["image"]: row for row in document["predictions"]}
    assert len(row_of_image[str(mixed_folder / "0.png")]["answers"]) == 3
    assert row_of_image[str(mixed_folder / "empty.jpg")] == {
        "image": str(mixed_folder / "empty.jpg"), "reason": "an empty file",
    }  # fmt: skip


def test_predict_names_the_first_skipped_images_and_counts_all(tmp_path, run_predict):
    for number in range(23):
        (tmp_path / f"{number:02}.png").touch()
    code, out, err = run_predict(tmp_path)
    assert (code, out) == (2, "")
    assert "19.png: an empty file" in err
    assert "20.png" not in err
    assert "skipped: 3 more; --csv lists them all" in err


def test_predict_shows_progress_where_no_lines_are_printed(
    trained_digits, run_predict, monkeypatch, tmp_path
):
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0.0)
    _, _, err = run_predict(trained_digits.folder / "test" / "0", "--csv", tmp_path / "out.csv")
    count = len(list((trained_digits.folder / "test" / "0").iterdir()))
    assert f"1/{count} images" in err
    assert f"{count}/{count} images" in err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _, out, err = run_predict(trained_digits.folder / "test" / "0")
    assert len(out.splitlines()) == count
    assert len(err.splitlines()) == 1


def test_file_names_cannot_move_the_cursor(trained_digits, run_predict, tmp_path):
    shutil.copy(trained_digits.test_image_paths[0], tmp_path / "\x1b[2J.png")
    (tmp_path / "\x1b[31m.png").touch()
    _, out, err = run_predict(tmp_path)
    assert "\x1b" not in out + err
    assert "\\x1b[2J.png" in out
    assert "\\x1b[31m.png: an empty file" in err


@pytest.mark.parametrize("options", [(), ("--csv", "out.csv")])
def test_predict_refuses_a_folder_without_images(run_predict, tmp_path, options, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = run_predict("empty", *options)
    assert (code, out) == (2, "")
    assert err == "predict: need images, got none in empty; give their folder or files\n"
    assert not (tmp_path / "out.csv").exists()


def test_predict_refuses_a_damaged_or_missing_network_file(run_refused, trained_digits, tmp_path):
    content = trained_digits.network_file.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    for name in ("cut.safetensors", "absent.safetensors"):
        run_refused("predict", tmp_path / name, trained_digits.test_image_paths[0])


def test_predict_refuses_an_unknown_device(run_refused, trained_digits):
    run_refused(
        "predict",
        trained_digits.network_file,
        trained_digits.test_image_paths[0],
        "--device",
        "tpu",
    )


@pytest.fixture
def data_source(trained_digits, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"imagefolder:{trained_digits.folder}"


def test_predict_uses_the_temperature_of_a_calibrated_file(
    trained_digits, run, run_refused, data_source, tmp_path
):
    out = tmp_path / "milder.safetensors"
    options = ("--data", data_source, "--out", out, "--device", "cpu")
    figure_options = ("--figure", tmp_path / "sure.png")
    code, output, err = run(
        "calibrate-probabilities", trained_digits.network_file, *options, *figure_options, "--json"
    )
    assert code == 0, err
    with Image.open(tmp_path / "sure.png") as image:
        assert image.width > 300
    calibration = json.loads(output)
    temperature = calibration["temperature"]
    assert read_network(out).preparation.temperature == temperature
    assert calibration["previous"] == 1.0
    before, after = calibration["validation"]
    assert after["nll"] < before["nll"]
    assert before["bins"] == 15
    assert [split_result["images"] for split_result in calibration["test"]] == [
        len(trained_digits.labels)
    ] * 2
    _, output, _ = run(
        "predict", out, trained_digits.test_image_paths[0], "--device", "cpu", "--json"
    )
    assert json.loads(output)["temperature"] == temperature
    run_refused("calibrate-probabilities", trained_digits.network_file, *options)


def test_calibration_takes_the_data_from_the_run_of_the_network(
    trained_digits, run, run_refused, data_source, tmp_path
):
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    shutil.copy(trained_digits.network_file, run_folder / "network.safetensors")
    run_refused("calibrate-probabilities", run_folder / "network.safetensors")
    data = DataSpec(source=data_source, validation_samples=100)
    configuration = to_document(Experiment(name="digits", data=data, seed=3))
    document = {
        "schema": SCHEMA,
        "asked": configuration,
        "fingerprint": "",
        "data": {},
        "results": {},
    }
    (run_folder / "run.json").write_text(json.dumps(document))
    code, output, err = run(
        "calibrate-probabilities", run_folder / "network.safetensors", "--device", "cpu"
    )
    assert code == 0, err
    assert "validation (100)" in output
    assert f"test ({len(trained_digits.labels)})" in output
    assert "ece over 15 bins of confidence" in output
    calibrated = read_network(run_folder / "network-calibrated.safetensors")
    assert f"temperature {calibrated.preparation.temperature:.4f}" in output


def test_calibration_refuses_images_of_other_classes(
    trained_digits, run_refused, data_source, tmp_path
):
    folder = tmp_path / "other"
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (8, 8), number).save(folder / name / f"{number}.png")
    out = tmp_path / "new.safetensors"
    options = ("--data", f"imagefolder:{folder}", "--out", out, "--device", "cpu")
    run_refused("calibrate-probabilities", trained_digits.network_file, *options)
    assert not out.exists()


@pytest.mark.slow
def test_prediction_and_calibration_agree_with_the_metrics_of_the_run(
    trained_digits, run, data_source, tmp_path
):
    folder = tmp_path / "run"
    size = ("--width", 0.25, "--depth", 0.3, "--resolution", 12, "--stem-stride", 1)
    settings = ("--set", "epochs=2", "--set", "data.pixels=14", "--set", "evaluation_scale=1.2")
    command = (
        "train",
        "efficientnet_b0",
        *size,
        "--data",
        data_source,
        "--device",
        "cpu",
        *settings,
    )
    code, _, err = run(*command, "--set", "batch_size=32", "--out", folder)
    assert code == 0, err
    network, table = folder / "network.safetensors", tmp_path / "out.csv"
    code, _, err = run(
        "predict", network, trained_digits.folder / "test", "--csv", table, "--batch", 256
    )
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    correct = [row["class_1"] == Path(row["image"]).parent.name for row in rows]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert sum(correct) / len(correct) == metrics["test"]["top1"]
    code, output, err = run("calibrate-probabilities", network, "--device", "cpu", "--json")
    assert code == 0, err
    calibration = json.loads(output)
    assert calibration["validation"][0]["accuracy"] == metrics["validation"]["top1"]
    assert calibration["validation"][0]["images"] == metrics["validation"]["images"]
    assert calibration["test"][0]["accuracy"] == metrics["test"]["top1"]
