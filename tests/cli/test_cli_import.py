"""`scalesearch import` and the layouts of `scalesearch export`, from file to file."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from scalesearch.architectures.baselines import baseline
from scalesearch.deploy.layouts.conversion import import_weights, to_layout
from scalesearch.models.network import build_model
from scalesearch.training.network_file import read_network, write_network

IMAGES = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def drawn(network: torch.nn.Module) -> torch.nn.Module:
    """Its norms see one batch, so that their statistics are its own."""
    network.train()(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    return network.eval()


def logits(network: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return network(IMAGES)


def test_a_file_of_timm_becomes_a_network_file_and_goes_out_again(
    run, run_refused, tmp_path: Path, timm: ModuleType
) -> None:
    torch.manual_seed(0)
    peer = drawn(timm.create_model("tf_efficientnet_b0", num_classes=3))
    torch.save({"state_dict": peer.state_dict()}, tmp_path / "tf_efficientnet_b0.pth")
    (tmp_path / "classes.txt").write_text("cat\ndog\nowl\n")
    path = tmp_path / "b0.safetensors"
    classes = ("--classes", tmp_path / "classes.txt")
    code, out, err = run(
        "import",
        tmp_path / "tf_efficientnet_b0.pth",
        "--as",
        "efficientnet_b0",
        "--out",
        path,
        *classes,
        "--json",
    )
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["classes"], told["norm_eps"], told["padding"]) == (3, 0.001, "same")
    saved = read_network(path)
    assert saved.name == "efficientnet_b0"
    assert "tf_efficientnet_b0.pth" in saved.origin
    assert saved.preparation.class_names == ("cat", "dog", "owl")
    torch.testing.assert_close(logits(saved.network), logits(peer), rtol=1e-4, atol=1e-5)

    code, out, err = run("export", path, "--format", "timm", "--out", tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)["files"]
    assert row["says"] == "equal when read back; norms: eps 0.001, momentum 0.1"
    back = import_weights(row["file"], saved.architecture)
    assert torch.equal(logits(back.network), logits(saved.network))
    run_refused("export", path, "--format", "torchvision", "--out", tmp_path / "out")


def test_a_network_of_ones_own_goes_to_torchvision_and_back(run, tmp_path: Path) -> None:
    small = baseline("efficientnet_b0", width=0.25, depth=0.5, resolution=64, num_classes=4)
    torch.manual_seed(0)
    network = drawn(build_model(small))
    path = write_network(tmp_path / "small.safetensors", network, name="small")
    code, _, err = run("export", path, "--format", "torchvision,timm", "--out", tmp_path)
    assert (code, err) == (0, "")
    for layout in ("torchvision", "timm"):
        back = import_weights(tmp_path / f"small.{layout}.safetensors", small).network
        assert back.options.norm_eps == network.options.norm_eps
        assert torch.equal(logits(back), logits(network))


def test_an_import_does_not_write_over_what_it_reads(run_refused, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"theirs")
    run_refused("import", path, "--as", "efficientnet_b0", "--out", path)
    assert path.read_bytes() == b"theirs"


def test_weights_of_a_network_that_a_library_cannot_build_are_not_written(
    run_refused, tmp_path: Path
):
    b0 = baseline("efficientnet_b0", width=0.25, resolution=32, num_classes=4)
    without = replace(b0, stages=tuple(replace(stage, squeeze=0) for stage in b0.stages))
    path = write_network(tmp_path / "n.safetensors", build_model(without), name="n")
    run_refused("export", path, "--format", "torchvision", "--out", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_network_described_by_a_file_of_stages_is_imported_too(run, tmp_path: Path) -> None:
    document = {
        "stem": 8,
        "stages": [{"repeats": 1, "width": 8}, {"repeats": 2, "width": 16, "expansion": 4}],
        "head": 32,
        "resolution": 64,
    }
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(document))
    from scalesearch.config.experiment import named_baseline

    network = drawn(build_model(named_baseline(str(tmp_path / "net.yaml"), num_classes=6)))
    torch.save(to_layout(network, "torchvision"), tmp_path / "net.pth")
    out = tmp_path / "net.safetensors"
    options = ("--as", tmp_path / "net.yaml", "--norm-eps", "0.001", "--out", out)
    assert run("import", tmp_path / "net.pth", *options)[::2] == (0, "")
    assert torch.equal(logits(read_network(out).network), logits(network))


def test_the_classes_of_imagenet_are_known_by_its_name(run, tmp_path: Path) -> None:
    torch.save(
        to_layout(build_model(baseline("efficientnet_b0")), "torchvision"), tmp_path / "w.pth"
    )
    out = tmp_path / "n.safetensors"
    options = ("--as", "efficientnet_b0", "--classes", "imagenet", "--out", out)
    assert run("import", tmp_path / "w.pth", *options)[::2] == (0, "")
    assert read_network(out).preparation.class_names[0] == "tench"


@pytest.mark.parametrize(
    ("network", "more"),
    [
        ("efficientnet_b1", ()),
        ("efficientnet_b0", ("--layout", "timm")),
        ("efficientnet_b0", ("--layout", "tv")),
        ("efficientnet_b9", ()),
        ("efficientnet_b0", ("--classes", "none.txt")),
        ("efficientnet_b0", ("--norm-eps", "0")),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_written(
    network: str, more: tuple[str, ...], run_refused, tmp_path: Path
) -> None:
    torch.save(
        to_layout(build_model(baseline("efficientnet_b0")), "torchvision"), tmp_path / "w.pth"
    )
    out = tmp_path / "n.safetensors"
    run_refused("import", tmp_path / "w.pth", "--as", network, "--out", out, *more)
    assert not out.exists()
