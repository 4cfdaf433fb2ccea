"""Configurations for torchvision: it builds the same network, or is said not to be able to."""

import sys
from dataclasses import replace

import pytest
import torch

from scalesearch.architectures import Architecture, Stage, baseline, cost, scaled
from scalesearch.errors import ExportError
from scalesearch.export.standalone import (
    Exportable,
    files,
    torchvision_script,
    write_torchvision_script,
)
from scalesearch.nets import Options, build
from scalesearch.scaling import ROUNDINGS, Multipliers
from scalesearch.weights import exported

B0 = baseline("efficientnet_b0", width=0.25, resolution=40, num_classes=7)
ODD = Architecture(
    stem=12,
    stages=(
        Stage(repeats=2, width=10, block="fused_mbconv", squeeze=0),
        Stage(repeats=2, width=18, stride=2, expansion=4, block="fused_mbconv", squeeze=0),
        Stage(repeats=2, width=30, stride=2, expansion=3, kernel=5),
    ),
    head=50,
    resolution=33,
    num_classes=4,
)


def built(text):
    namespace = {"__name__": "configuration"}
    exec(compile(text, "configuration", "exec"), namespace)
    return namespace["network"]()


@pytest.mark.parametrize(
    "network",
    [B0, ODD, baseline("efficientnetv2_b0", width=0.25, resolution=40)],
    ids=["b0", "odd channels", "v2"],
)
def test_torchvision_builds_the_same_network_and_it_gives_the_same_logits(torchvision, network):
    options = Options(dropout=0.3, drop_connect=0.2, norm_eps=0.02)
    theirs = built(torchvision_script("n", network, options)).eval()
    assert sum(p.numel() for p in theirs.parameters()) == cost(network).params
    torch.manual_seed(0)
    ours = build(network, norm_eps=0.02).eval()
    with torch.no_grad():
        for tensor in ours.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    theirs.load_state_dict(exported(ours, "torchvision"))
    images = torch.rand(2, 3, network.resolution, network.resolution)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images))
    assert theirs.classifier[0].p == 0.3
    rates = [m.p for m in theirs.modules() if type(m).__name__ == "StochasticDepth"]
    assert rates == pytest.approx([0.2 * i / network.blocks for i in range(network.blocks)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b0", "b3"])
def test_a_published_network_is_torchvisions_own(torchvision, name):
    from scalesearch.published import PUBLISHED

    network = scaled(
        baseline("efficientnet_b0"), PUBLISHED[name].multipliers, ROUNDINGS["official"]
    )
    theirs = torchvision.models.get_model(f"efficientnet_{name}", weights=None)
    ours = built(torchvision_script(name, network, Options()))
    shapes = [
        {key: tuple(value.shape) for key, value in one.state_dict().items()}
        for one in (theirs, ours)
    ]
    assert shapes[0] == shapes[1]


def test_channels_that_torchvision_would_round_are_kept_by_a_class_of_their_own():
    assert "class ExactMBConvConfig(MBConvConfig)" in torchvision_script("n", ODD, Options())
    assert "Exact" not in torchvision_script("n", baseline("efficientnet_b0"), Options())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"in_channels": 1}, "images of 1 channels (there 3)"),
        ({"stem_stride": 1}, "a stem with stride 1 (there 2)"),
        ({"stem_kernel": 5}, "a stem with kernel 5 (there 3)"),
        ({"stem_pool": 2}, "a pooled stem (there none)"),
        ({"head": 0}, "no head (there a 1x1 convolution)"),
        ({"head_pooled": True}, "a head behind the pooling (there before it)"),
        ({"activation": "relu"}, "the activation relu (there silu)"),
        ({"stages": (Stage(1, 8, squeeze=0),)}, "in stage 1 a squeeze of none in mbconv (there 4)"),
        (
            {"stages": (Stage(1, 8, block="fused_mbconv"),)},
            "in stage 1 a squeeze of 4 in fused_mbconv (there none)",
        ),
        ({"stages": (Stage(1, 8, stride=3),)}, "in stage 1 a stride of 3 (there 1 or 2)"),
        ({"stages": (Stage(1, 8, activation="relu"),)}, "in stage 1 the activation relu"),
        (
            {"stages": (Stage(1, 8), *[Stage(1, 8, squeeze=0, block="basic")] * 2)},
            "in stages 2, 3 basic blocks (there mbconv or fused_mbconv)",
        ),
    ],
)
def test_what_torchvision_cannot_be_is_named(changes, told):
    with pytest.raises(ExportError) as error:
        torchvision_script("mine", replace(B0, **changes), Options())
    assert told in str(error.value)
    assert str(error.value).endswith("export it as `python`, which can be any network")


def test_everything_that_torchvision_cannot_be_is_named_at_once():
    with pytest.raises(ExportError, match=r"stride 1 \(there 2\); TensorFlow's SAME padding"):
        torchvision_script("mine", replace(B0, stem_stride=1), Options(padding="same"))


def test_the_file_is_named_so_that_python_can_import_it(tmp_path):
    found = Exportable("my-b0.1", B0, Options())
    path, _ = write_torchvision_script(found, tmp_path)
    assert path.name == "my_b0_1_torchvision.py"


def test_multipliers_that_round_to_odd_channels_are_representable(torchvision):
    network = scaled(B0, Multipliers(width=1.3), ROUNDINGS["nearest"])
    theirs = built(torchvision_script("n", network, Options()))
    assert sum(p.numel() for p in theirs.parameters()) == cost(network).params


def test_where_torchvision_imports_it_is_asked_to_build_the_network(
    torchvision, tmp_path, monkeypatch
):
    found = Exportable("b0", B0, Options())
    path, built = write_torchvision_script(found, tmp_path)
    assert built
    text = path.read_text().replace("(6, 3, 2", "(4, 3, 2")
    monkeypatch.setattr(files, "torchvision_script", lambda *_: text)
    with pytest.raises(
        ExportError, match=r"need [\d,]+ parameters, got [\d,]+ from the torchvision"
    ):
        write_torchvision_script(found, tmp_path / "other")


def test_without_torchvision_the_file_is_written_and_said_not_to_be_built(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    path, built = write_torchvision_script(Exportable("b0", B0, Options()), tmp_path)
    assert path.is_file()
    assert not built
