import json

import pytest

from scalesearch.deploy.export.formats import DEPRECATED_FORMATS, FORMATS


def test_export_writes_several_formats_and_compares_them(run, network_file, tmp_path):
    out = tmp_path / "out"
    code, output, err = run(
        *("export", network_file, "--format", "safetensors,onnx", "--out", out),
        *("--data", "digits", "--train-samples", 100, "--validation-samples", 70),
        *("--compare", "--batch", "1,4", "--rounds", 2, "--json"),
    )
    assert (code, err) == (0, "")
    document = json.loads(output)
    assert [row["format"] for row in document["files"]] == ["safetensors", "onnx"]
    assert "64 real images" in document["files"][1]["says"]
    file_names = {"reader.safetensors", "reader.onnx", "comparison.csv", "comparison.json"}
    assert {file.name for file in out.iterdir()} == file_names
    variants = [(row["form"], row["batch"]) for row in document["comparison"]]
    assert variants == [
        (variant, batch) for batch in (1, 4) for variant in ("eager", "folded", "onnx")
    ]
    assert all(0.6 < row["accuracy"] <= 1 for row in document["comparison"])
    written_document = json.loads((out / "comparison.json").read_text())
    assert written_document["comparison"] == document["comparison"]
    assert (
        written_document["data"],
        written_document["rounds"],
        written_document["environment"]["device"],
    ) == ("digits", 2, "cpu")
    lines = (out / "comparison.csv").read_text().splitlines()
    assert lines[0].split(",") == list(document["comparison"][0])
    assert len(lines) == 1 + len(variants)


def test_export_without_images_says_how_to_compare_on_images(run, network_file, tmp_path):
    code, output, _ = run("export", network_file, "--format", "exported", "--out", tmp_path)
    assert code == 0
    assert "--data compares on images" in output


@pytest.mark.parametrize("name", DEPRECATED_FORMATS)
def test_torchscript_is_refused_with_other_formats_to_use(
    run_refused, network_file, tmp_path, name
):
    run_refused("export", network_file, "--format", name, "--out", tmp_path / "o")
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
def test_invalid_export_options_are_refused(run, network_file, tmp_path, options, message):
    code, _, err = run("export", network_file, *options, "--out", tmp_path)
    assert (code, message in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []


def test_a_format_with_weights_refuses_a_network_without_weights(run_refused, tmp_path):
    run_refused("export", "efficientnet_b0", "--format", "onnx", "--out", tmp_path)


def test_an_output_folder_that_cannot_be_made_is_refused(run_refused, network_file, tmp_path):
    (tmp_path / "file").write_text("")
    run_refused("export", network_file, "--format", "safetensors", "--out", tmp_path / "file" / "o")


def test_help_names_every_format(run):
    code, output, _ = run("export", "--help")
    assert code == 0
    assert all(name in " ".join(output.split()) for name in FORMATS)
