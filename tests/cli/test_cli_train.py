"""One command trains one network to the end, says how good it is, and goes on where it stopped."""

import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest
import torch
import yaml
from torch.nn import BatchNorm2d

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint, from_json
from scalesearch.config.experiment import DataSpec
from scalesearch.config.reading import preset
from scalesearch.data.sources.by_name import load_test_split
from scalesearch.families.members import family_document, write_family
from scalesearch.models.network import build_model
from scalesearch.reporting.terminal import display as progress
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.training import loop
from scalesearch.training.inference import classification_metrics, logits
from scalesearch.training.network_file import read_network

SIZE = ("--width", 0.25, "--depth", 0.3, "--resolution", 12, "--stem-stride", 1)
SMALL = ("--data", "digits", "--train-samples", 200, "--validation-samples", 60)
SMALL += ("--device", "cpu", "--set", "epochs=2")
COMMAND = ("train", "efficientnet_b0", *SIZE, *SMALL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    from scalesearch.cli import main

    folder = tmp_path_factory.mktemp("runs") / "b0"
    with pytest.raises(SystemExit) as stopped:
        main([str(part) for part in (*COMMAND, "--out", folder, "--tensorboard")])
    assert stopped.value.code == 0
    return folder


def read(folder, name="run.json"):
    return json.loads((folder / name).read_text())


def test_it_leaves_all_that_is_promised(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert names >= {
        "run.json", "epochs.csv", "metrics.json", "confusion.csv", "network.safetensors",
        "checkpoint", "figures/curves.png", "figures/confusion.png",
    }  # fmt: skip
    assert any(name.startswith("tensorboard/events") for name in names)


def test_answers_come_in_passes_no_larger_than_training_took(tmp_path, monkeypatch):
    """Or a network that trained to its end might not fit the device when it is evaluated."""
    from scalesearch.cli import main
    from scalesearch.training import inference as answers

    sizes = []
    whole = answers.evaluation_batches

    def watching(*args, batch_size, **options):
        sizes.append(batch_size)
        return whole(*args, batch_size=batch_size, **options)

    monkeypatch.setattr(answers, "evaluation_batches", watching)
    command = (*COMMAND, "--set", "epochs=1", "--set", "micro_batch=8", "--out", tmp_path / "r")
    with pytest.raises(SystemExit):
        main([str(part) for part in command])
    assert sizes == [8, 8]


def test_the_record_says_what_was_trained_on_what_and_where(finished):
    run = read(finished)
    network = from_json(run["architecture"])
    assert (network.in_channels, network.num_classes, network.resolution) == (1, 10, 12)
    assert run["fingerprint"] == fingerprint(network)
    assert run["asked"]["baseline"]["width"] == 0.25
    assert run["recipe"]["label_smoothing"] == preset("fast").label_smoothing
    assert run["recipe"]["epochs"] == 2
    assert (run["data"]["train"], run["data"]["validation"]) == (200, 60)
    assert run["environment"]["packages"]["torch"] == torch.__version__
    assert run["cost"]["params"] == sum(p.numel() for p in build_model(network).parameters())


def test_metrics_epochs_and_confusion_agree(finished):
    run, found = read(finished), read(finished, "metrics.json")
    epochs = pd.read_csv(finished / "epochs.csv")
    assert list(epochs["epoch"]) == [1, 2]
    assert run["results"]["last"] == pytest.approx(epochs.iloc[-1].to_dict())
    assert found["validation"]["top1"] == epochs["accuracy"].iloc[-1]
    assert found["validation"]["top5"] == epochs["top5"].iloc[-1]
    matrix = pd.read_csv(finished / "confusion.csv", index_col="truth")
    assert matrix.to_numpy().sum() == found["test"]["images"] == run["results"]["test"]["images"]
    assert matrix.to_numpy().trace() == round(found["test"]["top1"] * found["test"]["images"])
    for row, name in zip(found["test"]["classes"], run["data"]["classes"], strict=True):
        assert row["class"] == name
        assert row["images"] == matrix.loc[int(name)].sum()


def test_the_file_of_the_network_is_of_the_trained_one(finished):
    run, saved = read(finished), read_network(finished / "network.safetensors")
    network = saved.network
    assert saved.architecture == from_json(run["architecture"])
    assert saved.name == run["name"]
    steps = {int(n.num_batches_tracked) for n in network.modules() if isinstance(n, BatchNorm2d)}
    assert len(steps) == 1
    assert min(steps) > 0
    assert min(steps) % len(pd.read_csv(finished / "epochs.csv")) == 0


@pytest.mark.parametrize("scale", [1, 1.5])
def test_the_file_answers_test_images_as_the_trainer_did(scale, tmp_path, run):
    """With nothing but what is in it: size, zoom, statistics and the names of classes."""
    told = ("--set", f"evaluation_scale={scale}", "--set", "evaluation_zoom=1.3")
    code, _, err = run(*COMMAND, *told, "--set", "ema=0.5", "--out", tmp_path / "r")
    assert code == 0, err
    saved = read_network(tmp_path / "r" / "network.safetensors")
    prepared = saved.preparation
    assert (prepared.pixels, prepared.stored, prepared.zoom) == (round(12 * scale), 8, 1.3)
    assert prepared.class_names == tuple("0123456789")
    images = load_test_split(DataSpec(source="digits"))
    found = classification_metrics(
        *logits(saved.network, images, prepared.view(), prepared.pixels, "cpu")
    )
    matrix = pd.read_csv(tmp_path / "r" / "confusion.csv", index_col="truth")
    assert (matrix.to_numpy() == found.confusion).all()
    assert read(tmp_path / "r", "metrics.json")["test"]["top5"] == found.top5


def test_the_same_command_trains_nothing_more_and_prints_one_document(finished, run, monkeypatch):
    before = (finished / "epochs.csv").read_bytes()
    monkeypatch.setattr(loop, "_train_next_epochs", None)  # an epoch more would fail
    code, out, _ = run(*COMMAND, "--out", finished, "--json")
    assert code == 0
    assert json.loads(out) == read(finished)
    assert (finished / "epochs.csv").read_bytes() == before


def test_a_run_that_was_stopped_goes_on_to_the_same_result(finished, tmp_path, run, monkeypatch):
    def interrupted(epoch):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress, "epoch_line", interrupted)
        code, out, err = run(*COMMAND, "--out", tmp_path / "r")
    assert (code, out) == (130, "")
    assert f"the same command continues from {tmp_path / 'r'}" in err
    assert len(pd.read_csv(tmp_path / "r" / "epochs.csv")) == 1
    assert read(tmp_path / "r")["results"] is None
    code, out, err = run(*COMMAND, "--out", tmp_path / "r")
    assert code == 0
    assert "2/2 epochs   0:00 left" in err
    assert re.search(r"^test +0\.\d{4}", out, re.MULTILINE)
    assert read(tmp_path / "r", "metrics.json") == read(finished, "metrics.json")


def test_another_run_in_the_folder_is_refused_and_nothing_is_changed(finished, run_refused):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    run_refused(*COMMAND, "--seed", 3, "--set", "dropout=0.1", "--out", finished)
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_other_files_is_refused(tmp_path, run_refused):
    (tmp_path / "thesis.tex").write_text("")
    run_refused(*COMMAND, "--out", tmp_path)
    (tmp_path / "run.json").write_text("{}")
    run_refused(*COMMAND, "--out", tmp_path)


@pytest.fixture
def family(tmp_path):
    small = baseline("efficientnet_b0", width=0.25, depth=0.3, resolution=12, stem_stride=1)
    document = family_document(Coefficients(1.2, 1.1, 1.15), small, mode="exact", phis=(0, 1, 2))
    return write_family(tmp_path / "family.json", document), document


def test_a_member_of_a_family_is_trained_by_a_recipe_that_follows_its_shape(family, tmp_path, run):
    path, document = family
    out = tmp_path / "r"
    settings = ("--set", "epochs=1", "--set", "dropout=0.2", "--set", "regularisation=scaled")
    code, _, err = run("train", f"{path}:b2", *SMALL, *settings, "--out", out)
    assert code == 0, err
    trained, member = read(out), document["members"][2]
    expected = from_json(member["architecture"])
    network = from_json(trained["architecture"])
    assert trained["name"] == "b2"
    assert (network.stages, network.resolution) == (expected.stages, expected.resolution)
    small = replace(from_json(document["baseline"]), in_channels=1, num_classes=10)
    doublings = math.log2(cost(network).macs / cost(small).macs)
    assert trained["recipe"]["dropout"] == pytest.approx(0.2 + 0.3 / 7 * doublings)


def test_a_member_can_be_given_as_an_option_and_one_that_is_not_there_is_named(
    family, tmp_path, run_refused
):
    run_refused("train", "--member", f"{family[0]}:b9", *SMALL, "--out", tmp_path / "r")


def test_an_experiment_says_what_to_train_and_options_change_it(tmp_path, run):
    document = {
        "name": "tiny",
        "baseline": {"width": 0.25, "depth": 0.3, "resolution": 12, "stem_stride": 1},
        "data": {"source": "digits", "train_samples": 100, "validation_samples": 40},
        "recipe": {"preset": "fast", "epochs": 5},
        "seed": 4,
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(document))
    options = ("--set", "recipe.epochs=1", "--set", "data.pixels=10", "--out", tmp_path / "r")
    code, _, err = run("train", tmp_path / "tiny.yaml", "--device", "cpu", *options)
    assert code == 0, err
    asked = read(tmp_path / "r")["asked"]
    assert (asked["name"], asked["seed"], asked["recipe"]["epochs"]) == ("tiny", 4, 1)
    assert asked["data"]["pixels"] == 10
    assert asked["recipe"]["batch_size"] == preset("fast").batch_size


def test_a_recipe_of_ones_own_is_a_file(tmp_path, run):
    recipe = {"preset": "fast", "epochs": 1, "learning_rate": 0.01}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    code, _, err = run(*COMMAND[:-2], "--recipe", tmp_path / "mine.yaml", "--out", tmp_path / "r")
    assert code == 0, err
    trained = read(tmp_path / "r")["recipe"]
    assert (trained["learning_rate"], trained["batch_size"]) == (0.01, preset("fast").batch_size)


CODE = """
from torch import nn

def cnn(depth, width, resolution, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(resolution**2, num_classes))
"""


def test_a_network_made_by_code_is_trained_where_code_is_allowed(
    tmp_path, run, run_refused, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "own_net.py").write_text(CODE)
    command = ("train", "own_net:cnn", "--resolution", 8, *SMALL[:-1], "epochs=1")
    run_refused(*command)
    code, out, err = run(*command, "--allow-code")
    assert code == 0, err
    assert "results/own_net-cnn-digits/" in out
    assert read(tmp_path / "results" / "own_net-cnn-digits")["cost"]["macs"] == 640


@pytest.mark.parametrize(
    "arguments",
    [
        ("efficientnet_b9", *SMALL),
        ("efficientnet_b0", "--data", "digitz"),
        ("efficientnet_b0", *SMALL, "--set", "epoch=1"),
        ("efficientnet_b0", *SMALL, "--set", "epochs"),
        ("efficientnet_b0", *SMALL, "--recipe", "fats"),
        ("efficientnet_b0", *SMALL, "--recipe", "no.yaml"),
        ("efficientnet_b0", *SMALL, "--device", "tpu"),
        ("efficientnet_b0", *SMALL, "--width", "-1"),
        ("efficientnet_b0", *SMALL, "--train-samples", "99999"),
        ("efficientnet_b0", *SMALL, "--set", "learning_rate_rule=tuned"),
        ("no.json:b1", *SMALL),
        (*SMALL,),
    ],
)
def test_what_cannot_be_trained_exits_2_without_a_traceback_and_writes_nothing(
    arguments, tmp_path, run_refused
):
    run_refused("train", *arguments, "--out", tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_run_that_diverges_says_so_and_keeps_its_epochs(tmp_path, run):
    code, _, err = run(
        *COMMAND, "--set", "learning_rate=1.0e+30", "--set", "warmup_epochs=0",
        "--out", tmp_path / "r",
    )  # fmt: skip
    assert code == 2
    assert "lower the learning rate" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_that_came_to_no_epoch_makes_room_for_the_one_that_mends_it(seeds, tmp_path, run):
    command = (*COMMAND, "--seeds", seeds, "--out", tmp_path / "r")
    code, _, err = run(*command, "--set", "learning_rate=1.0e+30", "--set", "warmup_epochs=0")
    assert code == 2, err
    code, _, err = run(*command)
    assert code == 0, err
    first = tmp_path / "r" if seeds == 1 else tmp_path / "r" / "seed-0"
    assert read(first)["recipe"]["learning_rate"] == preset("fast").learning_rate


@pytest.mark.parametrize(
    "single",
    [
        ("--set", "batch_size=1"),
        ("--set", "micro_batch=1"),
        ("--train-samples", 1),
        ("--train-samples", 5, "--set", "batch_size=8", "--set", "micro_batch=4"),
    ],
)
def test_a_single_image_is_no_batch_to_normalise(single, tmp_path, run_refused):
    run_refused(*COMMAND, *single, "--out", tmp_path / "r")


def test_a_single_image_of_many_pixels_is_a_batch(tmp_path, run):
    sizes = ("--resolution", 40, "--train-samples", 2, "--set", "batch_size=1")
    code, _, err = run(*COMMAND, *sizes, "--set", "epochs=1", "--out", tmp_path / "r")
    assert code == 0, err


def test_a_run_that_stopped_early_says_so(tmp_path, run):
    command = (*COMMAND, "--set", "epochs=9", "--set", "patience=1", "--set", "learning_rate=1e-9")
    code, out, err = run(*command, "--out", tmp_path / "r")
    assert code == 0, err
    assert "2 epochs (of 9: stopped early, with the weights of the best)" in out
