import json
import struct

import pytest
import safetensors.torch
import torch
from refusals import refused

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.custom import CustomModel
from scalesearch.data.preparation import Preparation
from scalesearch.errors import ArchitectureError, WeightsError
from scalesearch.models.custom_model import build_custom_model, code_allowed
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import build_model
from scalesearch.training.network_file import (
    METADATA_KEY,
    read_network,
    write_network,
)

TINY_ARCHITECTURE = baseline(
    "efficientnet_b0", width=0.25, depth=0.3, resolution=32, stem_stride=1, num_classes=3
)
PREPARATION = Preparation(
    pixels=32,
    stored=36,
    zoom=36 / 32,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.2, 0.3),
    class_names=("a", "b", "ü"),
    temperature=1.25,
)


BIAS = "classifier.bias"


def network_of_random_tensors(**options):
    """A network whose tensors all have random values."""
    network = build_model(TINY_ARCHITECTURE, **options)
    generator = torch.Generator().manual_seed(0)
    initialise(network, generator)
    for tensor in network.buffers():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return network.eval()


@pytest.fixture
def network_file(tmp_path):
    return write_network(
        tmp_path / "n.safetensors", network_of_random_tensors(), PREPARATION, name="n", origin="o"
    )


def document_of(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"][METADATA_KEY])


def write_with_document(path, document, tensors=None):
    tensors = safetensors.torch.load_file(path) if tensors is None else tensors
    path.write_bytes(safetensors.torch.save(tensors, {METADATA_KEY: json.dumps(document)}))


@pytest.mark.parametrize("options", [{}, {"norm_eps": 1e-5, "padding": "same", "dropout": 0.2}])
def test_a_network_file_restores_the_whole_network(tmp_path, options):
    original = network_of_random_tensors(**options)
    path = write_network(tmp_path / "n.safetensors", original, PREPARATION, name="n", origin="o")
    restored = read_network(path)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(restored.network(images), original(images))
    assert not restored.network.training
    assert restored.architecture == TINY_ARCHITECTURE
    assert restored.network.options == original.options
    assert (restored.preparation, restored.name, restored.origin) == (PREPARATION, "n", "o")
    assert all(
        torch.equal(restored_tensor, original_tensor)
        for restored_tensor, original_tensor in zip(
            restored.network.state_dict().values(), original.state_dict().values(), strict=True
        )
    )


def test_a_network_in_channels_last_order_is_written_like_any_other(tmp_path):
    path = write_network(
        tmp_path / "a", network_of_random_tensors().to(memory_format=torch.channels_last)
    )
    assert (
        path.read_bytes() == write_network(tmp_path / "b", network_of_random_tensors()).read_bytes()
    )


def test_a_changed_weight_is_noticed(network_file):
    content = bytearray(network_file.read_bytes())
    content[-5] ^= 1
    network_file.write_bytes(content)
    with refused(WeightsError):
        read_network(network_file)


def test_a_changed_class_name_is_noticed(network_file):
    network_file.write_bytes(network_file.read_bytes().replace(rb"\"a\"", rb"\"z\""))
    assert document_of(network_file)["preparation"]["class_names"][0] == "z"
    with refused(WeightsError):
        read_network(network_file)


@pytest.mark.parametrize("length", [0, 5, 200, -100])
def test_a_file_that_is_cut_off_is_refused(network_file, length):
    network_file.write_bytes(network_file.read_bytes()[:length])
    with refused(WeightsError):
        read_network(network_file)


def test_a_folder_instead_of_a_file_is_refused(network_file):
    with refused(WeightsError):
        read_network(network_file.parent)


def test_a_header_that_claims_gigabytes_is_refused(network_file):
    network_file.write_bytes(struct.pack("<Q", 2**40) + network_file.read_bytes()[8:])
    with refused(WeightsError):
        read_network(network_file)


def test_tensors_of_other_libraries_are_refused_with_the_command_to_use(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    with refused(WeightsError):
        read_network(path)


def rewrite_with_digest(path, change):
    """Change the file and write the digest that belongs to the new content."""
    from scalesearch.training.network_file import _content_hash

    document, tensors = document_of(path), safetensors.torch.load_file(path)
    change(document, tensors)
    del document["digest"]
    document["digest"] = _content_hash(document, tensors)
    write_with_document(path, document, tensors)


def test_missing_unexpected_and_misshapen_tensors_are_listed_by_name(network_file):
    def change(document, tensors):
        tensors["classifier.weight"] = torch.zeros(4, 320)
        tensors["extra"] = torch.zeros(100_000)
        del tensors["stem.conv.weight"]

    rewrite_with_digest(network_file, change)
    with refused(WeightsError):
        read_network(network_file)


@pytest.mark.parametrize(
    "change",
    [
        {"stem": 10**7},
        {"stem": -1},
        {"stem": "8"},
        {"stages": []},
        {"colour": 1},
    ],
)
def test_an_absurd_architecture_is_refused_before_memory_is_used(network_file, change):
    rewrite_with_digest(
        network_file, lambda document, tensors: document["architecture"].update(change)
    )
    with refused(WeightsError):
        read_network(network_file)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_tensors_of_another_dtype_are_refused(network_file, dtype):
    rewrite_with_digest(
        network_file, lambda _, tensors: tensors.update({BIAS: tensors[BIAS].to(dtype)})
    )
    with refused(WeightsError):
        read_network(network_file)


def test_more_blocks_than_tensors_are_refused_before_they_are_built(network_file):
    def change(document, tensors):
        document["architecture"]["stages"][0]["repeats"] = 10**9

    rewrite_with_digest(network_file, change)
    with refused(WeightsError):
        read_network(network_file)


def test_a_preparation_of_other_channels_is_refused(tmp_path):
    grey = Preparation(pixels=32, stored=32, mean=(0.5,), std=(0.2,))
    with refused(ValueError):
        write_network(tmp_path / "n", network_of_random_tensors(), grey)


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": 0},
        {"std": (0.2, 0.0, 0.2)},
        {"temperature": float("inf")},
        {"mean": (0.5, 0.5)},
        {"mean": (0.5, float("nan"), 0.5)},
        {"interpolation": "nearest"},
        {"zoom": 1e9},
        {"zoom": 0.5},
        {"zoom": 1e-9},
    ],
)
def test_an_invalid_preparation_is_refused_by_name(change):
    valid = {"pixels": 32, "stored": 32, "mean": (0.5,) * 3, "std": (0.2,) * 3}
    with refused(ValueError):
        Preparation(**{**valid, **change})


def test_code_named_by_a_file_runs_only_if_it_is_allowed(tmp_path, monkeypatch):
    (tmp_path / "filed_nets.py").write_text(
        "import torch\n"
        "def tiny(depth, width, resolution, num_classes):\n"
        "    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),\n"
        "                               torch.nn.Linear(3, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    custom_model = CustomModel(factory="filed_nets:tiny", num_classes=2)
    with code_allowed():
        path = write_network(
            tmp_path / "n.safetensors",
            build_custom_model(custom_model, 0),
            architecture=custom_model,
        )
    with refused(ArchitectureError):
        read_network(path)
    with code_allowed():
        assert torch.equal(
            read_network(path).network[2].weight, build_custom_model(custom_model, 0)[2].weight
        )


def test_a_custom_model_may_share_weights_and_have_unsaved_tensors(tmp_path, monkeypatch):
    (tmp_path / "tied_nets.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Tied(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)\n"
        "        self.two.weight = self.one.weight\n"
        "        self.last = nn.Linear(3, num_classes)\n"
        "        self.register_buffer('scale', torch.full((3,), 2.0), persistent=False)\n"
        "    def forward(self, x):\n"
        "        return self.last(self.two(self.one(x.mean((2, 3)) * self.scale)))\n"
        "def tied(depth, width, resolution, num_classes):\n"
        "    return Tied(num_classes)\n"
    )
    monkeypatch.chdir(tmp_path)
    custom_model = CustomModel(factory="tied_nets:tied", num_classes=2)
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with code_allowed():
        before = build_custom_model(custom_model, 0).eval()
        path = write_network(tmp_path / "n.safetensors", before, architecture=custom_model)
        after = read_network(path).network
    assert after.two.weight is after.one.weight
    assert torch.equal(after(images), before(images))
