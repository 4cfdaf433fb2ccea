"""Scripts that build the network with torchvision or timm, or are refused with a reason."""

import sys
from dataclasses import replace

import pytest
import torch
from refusals import refused

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
ODD_CHANNELS = Architecture(
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


def run_script(text):
    namespace = {"__name__": "configuration"}
    exec(compile(text, "configuration", "exec"), namespace)
    return namespace["network"]()


def network_with_random_norms(network, **options):
    torch.manual_seed(0)
    model = build_model(network, **options).eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return model


@pytest.mark.parametrize(
    "network",
    [B0, ODD_CHANNELS, baseline("efficientnetv2_b0", width=0.25, resolution=40)],
    ids=["b0", "odd channels", "v2"],
)
def test_the_torchvision_script_builds_a_network_with_the_same_logits(torchvision, network):
    options = NetworkOptions(dropout=0.3, drop_connect=0.2, norm_eps=0.02)
    torchvision_network = run_script(torchvision_script_text("n", network, options)).eval()
    assert (
        sum(parameter.numel() for parameter in torchvision_network.parameters())
        == cost(network).params
    )
    our_network = network_with_random_norms(network, norm_eps=0.02)
    torchvision_network.load_state_dict(to_layout(our_network, "torchvision"))
    images = torch.rand(2, 3, network.resolution, network.resolution)
    with torch.no_grad():
        torch.testing.assert_close(torchvision_network(images), our_network(images))
    assert torchvision_network.classifier[0].p == 0.3
    rates = [
        module.p
        for module in torchvision_network.modules()
        if type(module).__name__ == "StochasticDepth"
    ]
    assert rates == pytest.approx(
        [0.2 * block / network.num_blocks for block in range(network.num_blocks)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b0", "b3"])
def test_the_torchvision_script_of_a_published_network_is_that_of_torchvision(torchvision, name):
    from scalesearch.scaling.published import PUBLISHED_MODELS

    network = scale(
        baseline("efficientnet_b0"), PUBLISHED_MODELS[name].multipliers, ROUNDINGS["official"]
    )
    torchvision_network = torchvision.models.get_model(f"efficientnet_{name}", weights=None)
    script_network = run_script(torchvision_script_text(name, network, NetworkOptions()))
    shapes = [
        {key: tuple(value.shape) for key, value in model.state_dict().items()}
        for model in (torchvision_network, script_network)
    ]
    assert shapes[0] == shapes[1]


def test_the_torchvision_script_keeps_channels_that_torchvision_would_round():
    assert "class ExactMBConvConfig(MBConvConfig)" in torchvision_script_text(
        "n", ODD_CHANNELS, NetworkOptions()
    )
    assert "Exact" not in torchvision_script_text(
        "n", baseline("efficientnet_b0"), NetworkOptions()
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"in_channels": 1},
        {"stem_stride": 1},
        {"stem_kernel": 5},
        {"stem_pool": 2},
        {"head": 0},
        {"head_pooled": True},
        {"activation": "relu"},
        {"stages": (Stage(1, 8, squeeze=0),)},
        {"stages": (Stage(1, 8, block="fused_mbconv"),)},
        {"stages": (Stage(1, 8, stride=3),)},
        {"stages": (Stage(1, 8, activation="relu"),)},
        {"stages": (Stage(1, 8), *[Stage(1, 8, squeeze=0, block="basic")] * 2)},
    ],
)
def test_a_network_that_torchvision_cannot_build_is_refused_with_the_reason(changes):
    with refused(ExportError):
        torchvision_script_text("mine", replace(B0, **changes), NetworkOptions())


def test_all_reasons_against_torchvision_are_named_at_once():
    with refused(ExportError):
        torchvision_script_text("mine", replace(B0, stem_stride=1), NetworkOptions(padding="same"))


def test_the_script_has_a_name_that_python_can_import(tmp_path):
    exportable = Exportable("my-b0.1", B0, NetworkOptions())
    path, _ = write_library_script(exportable, tmp_path, "torchvision")
    assert path.name == "my_b0_1_torchvision.py"


def test_the_torchvision_script_supports_odd_channels(torchvision):
    network = scale(B0, Multipliers(width=1.3), ROUNDINGS["nearest"])
    torchvision_network = run_script(torchvision_script_text("n", network, NetworkOptions()))
    assert (
        sum(parameter.numel() for parameter in torchvision_network.parameters())
        == cost(network).params
    )


def test_the_torchvision_script_is_built_before_it_is_written(torchvision, tmp_path, monkeypatch):
    exportable = Exportable("b0", B0, NetworkOptions())
    path, is_built = write_library_script(exportable, tmp_path, "torchvision")
    assert is_built
    text = path.read_text().replace("(6, 3, 2", "(4, 3, 2")
    monkeypatch.setitem(files.LIBRARY_SCRIPTS, "torchvision", lambda *_: text)
    with refused(ExportError):
        write_library_script(exportable, tmp_path / "other", "torchvision")


def test_the_torchvision_script_is_written_without_torchvision(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    path, is_built = write_library_script(
        Exportable("b0", B0, NetworkOptions()), tmp_path, "torchvision"
    )
    assert path.is_file()
    assert not is_built


# timm

TIMM_ARCHITECTURE = Architecture(
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
@pytest.mark.parametrize("network", [B0, TIMM_ARCHITECTURE], ids=["b0", "own"])
def test_the_timm_script_builds_a_network_with_the_same_logits(timm, network, padding):
    options = NetworkOptions(dropout=0.3, drop_connect=0.2, norm_eps=0.02, padding=padding)
    timm_network = run_script(timm_script_text("n", network, options)).eval()
    assert sum(parameter.numel() for parameter in timm_network.parameters()) == cost(network).params
    our_network = network_with_random_norms(network, norm_eps=0.02, padding=padding)
    layout = "timm-tf" if padding == "same" else "timm"
    timm_network.load_state_dict(to_layout(our_network, layout))
    images = torch.rand(2, network.in_channels, network.resolution, network.resolution)
    with torch.no_grad():
        torch.testing.assert_close(timm_network(images), our_network(images))
    assert timm_network.drop_rate == 0.3
    rates = [
        module.drop_prob for module in timm_network.modules() if type(module).__name__ == "DropPath"
    ]
    assert rates == pytest.approx(
        [0.2 * block / network.num_blocks for block in range(1, network.num_blocks)]
    )


def test_the_timm_script_supports_another_activation_in_a_stage(timm):
    *first_stages, last_stage = TIMM_ARCHITECTURE.stages
    network = replace(
        TIMM_ARCHITECTURE, stages=(*first_stages, replace(last_stage, activation="relu"))
    )
    our_network = network_with_random_norms(network)
    timm_network = run_script(timm_script_text("n", network, our_network.options)).eval()
    values = (
        our_network.state_dict().values()
    )  # in the same order; the layout has no such activations
    timm_network.load_state_dict(dict(zip(timm_network.state_dict(), values, strict=True)))
    images = torch.rand(2, 1, 33, 33)
    with torch.no_grad():
        torch.testing.assert_close(timm_network(images), our_network(images))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b0", "b3"])
def test_the_timm_script_of_a_published_network_is_that_of_timm(timm, name):
    from scalesearch.models.named import published_network

    timm_network = timm.create_model(f"efficientnet_{name}", pretrained=False)
    script_network = run_script(timm_script_text(name, published_network(name), NetworkOptions()))
    shapes = [
        {key: tuple(value.shape) for key, value in model.state_dict().items()}
        for model in (timm_network, script_network)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"stem_stride": 1},
        {"stem_pool": 2},
        {"head_pooled": True},
        {"stages": (Stage(1, 8, stride=2),) * 5},
        {"stages": (Stage(1, 8, stride=3),)},
        {"stages": (Stage(1, 8, block="conv", squeeze=0),)},
        {"stages": (Stage(1, 8, block="fused_mbconv"),)},
        {"stem": 10, "stages": (Stage(1, 8, expansion=2),)},
        {"stem": 15, "stages": (Stage(1, 8),)},
    ],
)
def test_a_network_that_timm_cannot_build_is_refused_with_the_reason(changes):
    with refused(ExportError):
        timm_script_text("mine", replace(B0, **changes), NetworkOptions())


def test_export_writes_both_scripts_and_names_the_library_that_built_them(timm, run, tmp_path):
    code, output, err = run(
        "export", "efficientnet_b0", "--format", "torchvision-config,timm-config", "--out", tmp_path
    )
    assert (code, err) == (0, "")
    names = ["efficientnet_b0_timm.py", "efficientnet_b0_torchvision.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert "timm built it: as many parameters" in " ".join(output.split())
    code, _, err = run("export", "resnet18", "--format", "timm-config", "--out", tmp_path)
    assert (code, "basic blocks" in err) == (2, True)
