import json

import pytest

from scalesearch.deploy.export.formats import DEPRECATED_FORMATS, FORMATS


def test_a_network_goes_to_several_forms_and_they_are_compared(run, digits_file, tmp_path):
    out = tmp_path / "out"
    code, told, err = run(
        *("export", digits_file, "--format", "safetensors,onnx", "--out", out),
        *("--data", "digits", "--train-samples", 100, "--validation-samples", 70),
        *("--compare", "--batch", "1,4", "--rounds", 2, "--json"),
    )
    assert (code, err) == (0, "")
    document = json.loads(told)
    assert [row["format"] for row in document["files"]] == ["safetensors", "onnx"]
    assert "64 real images" in document["files"][1]["says"]
    written = {"reader.safetensors", "reader.onnx", "comparison.csv", "comparison.json"}
    assert {file.name for file in out.iterdir()} == written
    forms = [(row["form"], row["batch"]) for row in document["comparison"]]
    assert forms == [(form, batch) for batch in (1, 4) for form in ("eager", "folded", "onnx")]
    assert all(0.6 < row["accuracy"] <= 1 for row in document["comparison"])
    kept = json.loads((out / "comparison.json").read_text())
    assert kept["comparison"] == document["comparison"]
    assert (kept["data"], kept["rounds"], kept["environment"]["device"]) == ("digits", 2, "cpu")
    lines = (out / "comparison.csv").read_text().splitlines()
    assert lines[0].split(",") == list(document["comparison"][0])
    assert len(lines) == 1 + len(forms)


def test_without_images_the_table_says_that_only_noise_was_compared(run, digits_file, tmp_path):
    code, told, _ = run("export", digits_file, "--format", "exported", "--out", tmp_path)
    assert code == 0
    assert "--data compares on images" in told


@pytest.mark.parametrize("name", DEPRECATED_FORMATS)
def test_torchscript_is_refused_with_what_to_take_instead(run, digits_file, tmp_path, name):
    code, _, err = run("export", digits_file, "--format", name, "--out", tmp_path / "o")
    assert code == 2
    assert "deprecated TorchScript; write exported (torch.export) or onnx" in err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "onx"), "--format: no format 'onx'; did you mean 'onnx'?"),
        (("--format", " ,"), "--format: need one of"),
        (("--format", "int8"), "--format int8: need images to calibrate on; give --data SOURCE"),
        (("--format", "int8-qat"), "--format int8-qat: need images to train on"),
        (("--format", "onnx", "--batch", "1,0"), "--batch: need whole numbers of at least 1"),
        (("--format", "onnx", "--batch", "few"), "--batch: need whole numbers of at least 1"),
    ],
)
def test_what_cannot_be_exported_is_refused(run, digits_file, tmp_path, options, message):
    code, _, err = run("export", digits_file, *options, "--out", tmp_path)
    assert (code, message in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_weights_is_refused_where_they_count(run, tmp_path):
    code, _, err = run("export", "efficientnet_b0", "--format", "onnx", "--out", tmp_path)
    assert code == 2
    assert "efficientnet_b0: this format needs weights" in err


def test_a_folder_that_cannot_be_is_refused(run, digits_file, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(
        "export", digits_file, "--format", "safetensors", "--out", tmp_path / "file" / "o"
    )
    assert code == 2
    assert "cannot be written" in err


def test_help_names_every_format(run):
    code, told, _ = run("export", "--help")
    assert code == 0
    assert all(name in " ".join(told.split()) for name in FORMATS)
