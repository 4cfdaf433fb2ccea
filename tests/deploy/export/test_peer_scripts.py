"""Configurations for torchvision and timm: they build the same network, or it is said why not."""

import sys
from dataclasses import replace

import pytest
import torch

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.export.standalone import files
from scalesearch.deploy.export.standalone.files import Exportable, write_library_script
from scalesearch.deploy.export.standalone.timm_script import timm_script_text
from scalesearch.deploy.export.standalone.torchvision_script import torchvision_script_text
from scalesearch.deploy.layouts.conversion import to_layout
from scalesearch.errors import ExportError
from scalesearch.models.network import NetworkOptions, build_model
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

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


def trained(network, **options):
    torch.manual_seed(0)
    ours = build_model(network, **options).eval()
    with torch.no_grad():
        for tensor in ours.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return ours


@pytest.mark.parametrize(
    "network",
    [B0, ODD, baseline("efficientnetv2_b0", width=0.25, resolution=40)],
    ids=["b0", "odd channels", "v2"],
)
def test_torchvision_builds_the_same_network_and_it_gives_the_same_logits(torchvision, network):
    options = NetworkOptions(dropout=0.3, drop_connect=0.2, norm_eps=0.02)
    theirs = built(torchvision_script_text("n", network, options)).eval()
    assert sum(p.numel() for p in theirs.parameters()) == cost(network).params
    ours = trained(network, norm_eps=0.02)
    theirs.load_state_dict(to_layout(ours, "torchvision"))
    images = torch.rand(2, 3, network.resolution, network.resolution)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images))
    assert theirs.classifier[0].p == 0.3
    rates = [m.p for m in theirs.modules() if type(m).__name__ == "StochasticDepth"]
    assert rates == pytest.approx([0.2 * i / network.num_blocks for i in range(network.num_blocks)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b0", "b3"])
def test_a_published_network_is_torchvisions_own(torchvision, name):
    from scalesearch.scaling.published import PUBLISHED_MODELS

    network = scale(
        baseline("efficientnet_b0"), PUBLISHED_MODELS[name].multipliers, ROUNDINGS["official"]
    )
    theirs = torchvision.models.get_model(f"efficientnet_{name}", weights=None)
    ours = built(torchvision_script_text(name, network, NetworkOptions()))
    shapes = [
        {key: tuple(value.shape) for key, value in one.state_dict().items()}
        for one in (theirs, ours)
    ]
    assert shapes[0] == shapes[1]


def test_channels_that_torchvision_would_round_are_kept_by_a_class_of_their_own():
    assert "class ExactMBConvConfig(MBConvConfig)" in torchvision_script_text(
        "n", ODD, NetworkOptions()
    )
    assert "Exact" not in torchvision_script_text(
        "n", baseline("efficientnet_b0"), NetworkOptions()
    )


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
        torchvision_script_text("mine", replace(B0, **changes), NetworkOptions())
    assert told in str(error.value)
    assert str(error.value).endswith("export it as `python`, which can be any network")


def test_everything_that_torchvision_cannot_be_is_named_at_once():
    with pytest.raises(ExportError, match=r"stride 1 \(there 2\); TensorFlow's SAME padding"):
        torchvision_script_text("mine", replace(B0, stem_stride=1), NetworkOptions(padding="same"))


def test_the_file_is_named_so_that_python_can_import_it(tmp_path):
    found = Exportable("my-b0.1", B0, NetworkOptions())
    path, _ = write_library_script(found, tmp_path, "torchvision")
    assert path.name == "my_b0_1_torchvision.py"


def test_multipliers_that_round_to_odd_channels_are_representable(torchvision):
    network = scale(B0, Multipliers(width=1.3), ROUNDINGS["nearest"])
    theirs = built(torchvision_script_text("n", network, NetworkOptions()))
    assert sum(p.numel() for p in theirs.parameters()) == cost(network).params


def test_where_torchvision_imports_it_is_asked_to_build_the_network(
    torchvision, tmp_path, monkeypatch
):
    found = Exportable("b0", B0, NetworkOptions())
    path, built = write_library_script(found, tmp_path, "torchvision")
    assert built
    text = path.read_text().replace("(6, 3, 2", "(4, 3, 2")
    monkeypatch.setitem(files.LIBRARY_SCRIPTS, "torchvision", lambda *_: text)
    with pytest.raises(
        ExportError, match=r"need [\d,]+ parameters, got [\d,]+ from the torchvision"
    ):
        write_library_script(found, tmp_path / "other", "torchvision")


def test_without_torchvision_the_file_is_written_and_said_not_to_be_built(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    path, built = write_library_script(
        Exportable("b0", B0, NetworkOptions()), tmp_path, "torchvision"
    )
    assert path.is_file()
    assert not built


# timm

OWN = Architecture(
    stem=12,
    stem_kernel=5,
    stages=(
        Stage(repeats=2, width=12, block="fused_mbconv", squeeze=0),
        Stage(repeats=2, width=20, stride=2, expansion=4, block="fused_mbconv", squeeze=0),
        Stage(repeats=1, width=20, squeeze=2),
        Stage(repeats=2, width=28, stride=2, expansion=2, kernel=5),
        Stage(repeats=1, width=32, expansion=4, squeeze=0),
    ),
    head=52,
    resolution=33,
    in_channels=1,
    num_classes=4,
)


@pytest.mark.parametrize("padding", ["half", "same"])
@pytest.mark.parametrize("network", [B0, OWN], ids=["b0", "own"])
def test_timm_builds_the_same_network_and_it_gives_the_same_logits(timm, network, padding):
    options = NetworkOptions(dropout=0.3, drop_connect=0.2, norm_eps=0.02, padding=padding)
    theirs = built(timm_script_text("n", network, options)).eval()
    assert sum(p.numel() for p in theirs.parameters()) == cost(network).params
    ours = trained(network, norm_eps=0.02, padding=padding)
    layout = "timm-tf" if padding == "same" else "timm"
    theirs.load_state_dict(to_layout(ours, layout))
    images = torch.rand(2, network.in_channels, network.resolution, network.resolution)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images))
    assert theirs.drop_rate == 0.3
    rates = [m.drop_prob for m in theirs.modules() if type(m).__name__ == "DropPath"]
    assert rates == pytest.approx(
        [0.2 * i / network.num_blocks for i in range(1, network.num_blocks)]
    )


def test_a_stage_of_timms_may_have_an_activation_of_its_own(timm):
    *first, last = OWN.stages
    network = replace(OWN, stages=(*first, replace(last, activation="relu")))
    ours = trained(network)
    theirs = built(timm_script_text("n", network, ours.options)).eval()
    values = ours.state_dict().values()  # in the same order; the layout has no such activations
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    images = torch.rand(2, 1, 33, 33)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b0", "b3"])
def test_a_published_network_is_timms_own(timm, name):
    from scalesearch.models.named import published_network

    theirs = timm.create_model(f"efficientnet_{name}", pretrained=False)
    ours = built(timm_script_text(name, published_network(name), NetworkOptions()))
    shapes = [
        {key: tuple(value.shape) for key, value in one.state_dict().items()}
        for one in (theirs, ours)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stem_stride": 1}, "a stem with stride 1 (there 2)"),
        ({"stem_pool": 2}, "a pooled stem (there none)"),
        ({"head_pooled": True}, "a head behind the pooling (there before it)"),
        ({"stages": (Stage(1, 8, stride=2),) * 5}, "a stride of 64 in all (there at most 32)"),
        ({"stages": (Stage(1, 8, stride=3),)}, "in stage 1 a stride of 3 (there 1 or 2)"),
        ({"stages": (Stage(1, 8, block="conv", squeeze=0),)}, "in stage 1 conv blocks (there"),
        (
            {"stages": (Stage(1, 8, block="fused_mbconv"),)},
            "a squeeze without expansion in fused_mbconv (there none)",
        ),
        ({"stem": 10, "stages": (Stage(1, 8, expansion=2),)}, "20 inner channels (there 24)"),
        ({"stem": 15, "stages": (Stage(1, 8),)}, "3 squeezed channels (there 4)"),
    ],
)
def test_what_timm_cannot_be_is_named(changes, told):
    with pytest.raises(ExportError) as error:
        timm_script_text("mine", replace(B0, **changes), NetworkOptions())
    assert "need a network that timm's EfficientNet can be, got one with " in str(error.value)
    assert told in str(error.value)


def test_the_command_writes_both_and_says_who_has_built_them(timm, run, tmp_path):
    code, told, err = run(
        "export", "efficientnet_b0", "--format", "torchvision-config,timm-config", "--out", tmp_path
    )
    assert (code, err) == (0, "")
    names = ["efficientnet_b0_timm.py", "efficientnet_b0_torchvision.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert "timm built it: as many parameters" in " ".join(told.split())
    code, _, err = run("export", "resnet18", "--format", "timm-config", "--out", tmp_path)
    assert (code, "basic blocks" in err) == (2, True)
