"""One command goes on from a trained network, on images of other classes."""

import json
import shutil

import pandas as pd
import pytest
import torch
import yaml

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.custom import CustomModel
from scalesearch.config.experiment import DataSpec
from scalesearch.data.preparation import Preparation
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.models.custom_model import build_custom_model, code_allowed
from scalesearch.models.network import build_model
from scalesearch.reporting.terminal import display as progress
from scalesearch.training import loop
from scalesearch.training.network_file import read_network, write_network

SMALL = ("--data", "digits", "--train-samples", 200, "--validation-samples", 60)
SMALL += ("--device", "cpu", "--set", "epochs=3")
STAGED = ("--freeze", "all-but-head", "--unfreeze", "2:stage7,head 3:all", "--body-rate", 0.1)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A network of colour images in four classes."""
    network = build_model(
        baseline(
            "efficientnet_b0", width=0.25, depth=0.3, resolution=12, stem_stride=1, num_classes=4
        )
    )
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) / 4
            )
    shown = Preparation(
        pixels=12,
        stored=12,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        class_names=("a", "b", "c", "d"),
    )
    folder = tmp_path_factory.mktemp("before")
    return write_network(folder / "animals.safetensors", network, shown, name="animals")


def read(folder, name="run.json"):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def finished(pretrained, tmp_path_factory):
    from scalesearch.cli import main

    folder = tmp_path_factory.mktemp("runs") / "digits"
    command = ("train", pretrained, *SMALL, *STAGED, "--resolution", 10, "--out", folder)
    with pytest.raises(SystemExit) as stopped:
        main([str(part) for part in command])
    assert stopped.value.code == 0
    return folder


def test_the_record_says_where_training_began_and_how_it_went_on(finished, pretrained):
    run = read(finished)
    assert run["name"] == "animals"
    assert run["weights"]["file"] == str(pretrained)
    assert run["weights"]["name"] == "animals"
    assert len(run["weights"]["digest"]) == 16
    assert run["recipe"]["transfer"] == {
        "classifier": "new",
        "freeze": ["all-but-head"],
        "unfreeze": [
            {"epoch": 2, "parts": ["stage7", "head"]}, {"epoch": 3, "parts": ["all"]}
        ],
        "body_rate": 0.1,
        "statistics": "network",
    }  # fmt: skip


def test_the_network_is_for_the_new_images(finished):
    saved = read_network(finished / "network.safetensors")
    network = saved.architecture
    assert (network.in_channels, network.num_classes, network.resolution) == (1, 10, 10)
    assert saved.preparation.class_names == tuple("0123456789")


def test_images_are_normalised_as_the_network_knows_them(finished, pretrained, tmp_path, run):
    shown = read_network(finished / "network.safetensors").preparation
    assert (*shown.mean, *shown.std) == pytest.approx((0.5, 0.2))
    own = ("--set", "epochs=1", "--set", "transfer.statistics=data", "--out", tmp_path / "r")
    code, _, err = run("train", pretrained, *SMALL[:-2], *own)
    assert code == 0, err
    shown = read_network(tmp_path / "r" / "network.safetensors").preparation
    digits = load_dataset(DataSpec(source="digits", train_samples=200, validation_samples=60), 0)
    assert (shown.mean, shown.std) == (digits.mean, digits.std)


def test_the_same_command_trains_nothing_more(finished, pretrained, run, monkeypatch):
    monkeypatch.setattr(loop, "_train_next_epochs", None)  # an epoch more would fail
    command = ("train", pretrained, *SMALL, *STAGED, "--resolution", 10, "--out", finished)
    code, out, _ = run(*command, "--json")
    assert code == 0
    assert json.loads(out) == read(finished)


def test_a_run_that_was_stopped_goes_on_to_the_same_result(
    finished, pretrained, tmp_path, run, monkeypatch
):
    def interrupted(epoch):
        raise KeyboardInterrupt

    command = ("train", pretrained, *SMALL, *STAGED, "--resolution", 10, "--out", tmp_path / "r")
    with monkeypatch.context() as patch:
        patch.setattr(progress, "epoch_line", interrupted)
        assert run(*command)[0] == 130
    assert len(pd.read_csv(tmp_path / "r" / "epochs.csv")) == 1
    code, _, err = run(*command)
    assert code == 0, err
    assert read(tmp_path / "r", "metrics.json") == read(finished, "metrics.json")
    ours, theirs = (
        read_network(folder / "network.safetensors").network.state_dict()
        for folder in (tmp_path / "r", finished)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_from_other_weights_is_another_run(finished, pretrained, tmp_path, run, run_refused):
    saved = read_network(pretrained)
    with torch.no_grad():
        saved.network.stem.conv.weight.mul_(2)
    other = write_network(tmp_path / pretrained.name, saved.network, saved.preparation)
    command = ("train", other, *SMALL, *STAGED, "--resolution", 10, "--out", finished)
    run_refused(*command)
    copied = shutil.copy(pretrained, other)
    code, _, err = run("train", copied, *command[2:])
    assert code == 0, err


@pytest.mark.slow
def test_seeds_begin_with_the_same_weights(pretrained, tmp_path, run):
    command = ("train", pretrained, *SMALL, "--set", "epochs=1", "--seeds", 2, "--freeze", 7)
    code, out, err = run(*command, "--out", tmp_path / "r", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert summary["weights"] == read(tmp_path / "r" / "seed-1")["weights"]
    assert summary["recipe"]["transfer"]["freeze"] == ["7"]
    theirs, *ours = (
        read_network(path).network.state_dict()["stages.6.0.depthwise.conv.weight"]
        for path in (
            pretrained,
            *(tmp_path / "r" / f"seed-{seed}" / "network.safetensors" for seed in (0, 1)),
        )
    )
    assert all(torch.equal(weight, theirs) for weight in ours)


def test_a_recipe_may_say_how_to_go_on_and_options_change_a_part(pretrained, tmp_path, run):
    recipe = {"preset": "fast", "epochs": 2, "transfer": {"freeze": ["3"], "body_rate": 0.5}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    command = ("train", pretrained, *SMALL[:-2], "--recipe", tmp_path / "mine.yaml")
    code, _, err = run(*command, "--body-rate", 0.2, "--out", tmp_path / "r")
    assert code == 0, err
    kept = read(tmp_path / "r")["asked"]["recipe"]["transfer"]
    assert (kept["freeze"], kept["body_rate"]) == (["3"], 0.2)


@pytest.mark.parametrize(
    "options",
    [
        ("--head", "keep"),
        ("--head", "kept"),
        ("--freeze", "stage8"),
        ("--freeze", "tail"),
        ("--freeze", "all"),
        ("--freeze", "1", "--unfreeze", "stage1"),
        ("--freeze", "1", "--unfreeze", "9:all"),
        ("--unfreeze", "2:all"),
        ("--body-rate", "3"),
        ("--width", "0.5"),
    ],
)
def test_what_cannot_go_on_exits_2_and_writes_nothing(options, pretrained, tmp_path, run_refused):
    run_refused("train", pretrained, *SMALL, *options, "--out", tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_without_a_trained_network_there_is_nothing_to_freeze(tmp_path, run_refused):
    command = ("train", "efficientnet_b0", *SMALL, "--freeze", "1", "--out", tmp_path / "r")
    run_refused(*command)


def test_a_file_that_is_no_network_is_refused(tmp_path, run_refused):
    for name, content in (("no", None), ("torn", b"\x08\0\0\0\0\0\0\0{}")):
        path = tmp_path / f"{name}.safetensors"
        if content is not None:
            path.write_bytes(content)
        run_refused("train", path, *SMALL, "--out", tmp_path / "r")


def test_a_network_that_code_makes_has_no_known_parts(tmp_path, run_refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "code_net.py").write_text(
        "from torch import nn\n"
        "def cnn(depth, width, resolution, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3 * resolution**2, num_classes))\n"
    )
    named = CustomModel(factory="code_net:cnn", resolution=8)
    with code_allowed():
        path = write_network(
            tmp_path / "code.safetensors", build_custom_model(named, 0), architecture=named
        )
    run_refused("train", path, *SMALL)
    run_refused("train", path, *SMALL, "--allow-code")


def test_a_search_starts_no_candidate_from_weights(tmp_path, run_refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = {"name": "s", "recipe": {"epochs": 2, "transfer": {"freeze": ["1"]}}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(document))
    run_refused("search", "s.yaml")


def test_a_folder_of_an_earlier_version_has_ended_and_stays_as_it_is(tmp_path, run, monkeypatch):
    size = ("--width", 0.25, "--depth", 0.3, "--resolution", 12, "--stem-stride", 1)
    command = ("train", "efficientnet_b0", *size, *SMALL[:-1], "epochs=1", "--out", tmp_path / "r")
    assert run(*command)[0] == 0
    (tmp_path / "r" / "network.safetensors").unlink()
    torch.save({}, tmp_path / "r" / "network.pt")
    old = read(tmp_path / "r")
    del old["weights"], old["recipe"]["transfer"], old["asked"]["recipe"]["transfer"]
    (tmp_path / "r" / "run.json").write_text(json.dumps(old))
    monkeypatch.setattr(loop, "_train_next_epochs", None)
    code, out, err = run(*command)
    assert code == 0, err
    assert f"{tmp_path / 'r'}/   network.pt" in out
    assert not (tmp_path / "r" / "network.safetensors").exists()
    code, _, err = run(*command, "--json")
    assert code == 0, err
