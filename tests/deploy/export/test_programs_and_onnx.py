import dataclasses
import sys
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from refusals import refused

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.config.experiment import DataSpec
from scalesearch.deploy.export import torch_export
from scalesearch.deploy.export.onnx_files import (
    onnx_logits_function,
    read_onnx_metadata,
    write_onnx,
)
from scalesearch.deploy.export.parity import (
    MAX_LOGIT_DIFFERENCE,
    Parity,
    import_extra,
    require_close_logits,
    require_faithful_predictions,
    require_similar_predictions,
)
from scalesearch.deploy.export.sample_images import load_image_set, torch_logits
from scalesearch.deploy.export.torch_export import read_program, write_program
from scalesearch.errors import ExportError
from scalesearch.models.network import build_model
from scalesearch.training.network_file import SavedNetwork


def random_images(count, pixels=16, channels=1):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, channels, pixels, pixels, generator=generator)


@pytest.fixture(scope="module")
def onnx_file(saved_network, digit_images, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "reader.onnx"
    return path, write_onnx(path, saved_network, digit_images)


def test_a_program_gives_the_logits_of_its_network_for_any_batch_size(
    saved_network, digit_images, tmp_path
):
    path = tmp_path / "reader.pt2"
    parity_on_noise, parity_on_images = write_program(path, saved_network, digit_images)
    assert parity_on_noise.difference < MAX_LOGIT_DIFFERENCE
    assert (parity_on_images.images, parity_on_images.same_fraction) == (64, 1)
    network, metadata = read_program(path)
    for count in (1, 2, 7):
        torch.testing.assert_close(
            torch_logits(network, random_images(count)),
            torch_logits(saved_network.network, random_images(count)),
        )
    assert metadata["class_names"] == list("0123456789")
    assert metadata["preparation"]["mean"] == list(saved_network.preparation.mean)
    assert [file.name for file in tmp_path.iterdir()] == ["reader.pt2"]


def test_a_file_that_is_no_program_is_refused(tmp_path):
    path = tmp_path / "n.pt2"
    path.write_bytes(b"no archive")
    with refused(ExportError):
        read_program(path)


def test_onnx_runtime_gives_the_logits_of_torch(onnx_file, saved_network):
    path, (parity_on_noise, parity_on_images) = onnx_file
    assert (parity_on_noise.images, parity_on_images.images, parity_on_images.same_fraction) == (
        4,
        64,
        1,
    )
    assert max(parity_on_noise.difference, parity_on_images.difference) < MAX_LOGIT_DIFFERENCE
    torch_result, onnx_result = (
        torch_logits(saved_network.network, random_images(5)),
        onnx_logits_function(path)(random_images(5)),
    )
    np.testing.assert_allclose(onnx_result, torch_result, atol=1e-4)


def test_an_onnx_file_accepts_any_batch_size_and_gives_logits(onnx_file):
    model = onnx.load(onnx_file[0])
    batch, *sides = model.graph.input[0].type.tensor_type.shape.dim
    assert (batch.dim_param, [side.dim_value for side in sides]) == ("batch", [1, 16, 16])
    assert [node.name for node in model.graph.output] == ["logits"]
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Softmax", "BatchNormalization"}
    assert b".py" not in model.SerializeToString()  # no paths of the machine that wrote it


def test_an_onnx_file_holds_its_preparation_and_class_names(onnx_file, saved_network):
    metadata = read_onnx_metadata(onnx_file[0])
    assert metadata["class_names"] == list("0123456789")
    assert metadata["name"] == "reader"
    assert metadata["preparation"]["std"] == list(saved_network.preparation.std)
    assert metadata["architecture"]["stem"] == 8


def test_onnx_supports_same_padding_and_an_odd_resolution(tmp_path):
    stage = Stage(block="mbconv", expansion=1, kernel=5, stride=2, width=8, repeats=1, squeeze=0)
    architecture = Architecture(stem=8, stages=(stage,), head=0, resolution=21, num_classes=3)
    torch.manual_seed(0)
    saved = SavedNetwork(
        network=build_model(architecture, padding="same").eval(), architecture=architecture
    )
    (parity_on_noise,) = write_onnx(tmp_path / "n.onnx", saved)
    assert parity_on_noise.difference < MAX_LOGIT_DIFFERENCE
    assert read_onnx_metadata(tmp_path / "n.onnx")["preparation"] is None


def is_refused(write):
    with refused(ExportError):
        write()
    return True


def test_an_onnx_model_with_other_logits_is_refused_and_leaves_no_file(
    saved_network, tmp_path, onnx_file
):
    changed_model = onnx.load(onnx_file[0])
    (bias,) = [
        tensor for tensor in changed_model.graph.initializer if tensor.name == "classifier.bias"
    ]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 0.01, bias.name))
    assert is_refused(
        lambda: write_onnx(tmp_path / "n.onnx", saved_network, built_model=changed_model)
    )
    assert list(tmp_path.iterdir()) == []


def test_a_program_with_other_logits_is_refused_and_leaves_no_file(
    saved_network, tmp_path, monkeypatch
):
    def change_bias(network):
        with torch.no_grad():
            network.classifier.bias.add_(0.01)
        return network

    fold = torch_export.fold_batch_norms
    monkeypatch.setattr(
        torch_export, "fold_batch_norms", lambda network: change_bias(fold(network))
    )
    assert is_refused(lambda: write_program(tmp_path / "n.pt2", saved_network))
    assert list(tmp_path.iterdir()) == []


def test_parity_that_is_too_low_is_refused():
    with refused(ExportError):
        require_close_logits("n", Parity(4, float("nan"), 1.0), "random")
    with refused(ExportError):
        require_similar_predictions("n", Parity(10, 0.1, 0.4))
    with refused(ExportError):
        require_faithful_predictions("n", Parity(10, 0.1, 0.8))


def test_an_input_of_absurd_size_is_refused_before_memory_is_used(saved_network, tmp_path):
    absurd = dataclasses.replace(saved_network.preparation, pixels=10**6)
    with refused(ExportError):
        write_program(tmp_path / "n.pt2", dataclasses.replace(saved_network, preparation=absurd))
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_onnx_model_are_refused():
    with refused(ExportError):
        onnx_logits_function(b"nothing")


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_named_with_its_extra(saved_network, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with refused(ExportError):
        write_onnx(tmp_path / "n.onnx", saved_network)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_quantiser_is_named_with_its_extra(monkeypatch):
    name = "torchao.quantization.pt2e"
    monkeypatch.setitem(sys.modules, name, None)
    with refused(ExportError):
        import_extra(name, "int8-qat")


def test_a_network_that_cannot_be_traced_is_refused():
    class Undecided(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with refused(ExportError):
        torch_export.export_program(Undecided(), random_images(2), "n")


def test_images_of_other_classes_than_the_network_are_refused(saved_network):
    with_other_classes = dataclasses.replace(
        saved_network.preparation, class_names=tuple("abcdefghij")
    )
    with refused(ExportError):
        load_image_set(
            dataclasses.replace(saved_network, preparation=with_other_classes),
            DataSpec(source="digits"),
            0,
        )


def test_images_for_a_network_without_a_preparation_are_refused(saved_network):
    without_preparation = dataclasses.replace(saved_network, preparation=None)
    with refused(ExportError):
        load_image_set(without_preparation, DataSpec(source="digits"), 0)


def test_batches_contain_every_image_once(saved_network, digit_images):
    batches = [images for images, _ in digit_images.batches(digit_images.test)]
    assert sum(map(len, batches)) == len(digit_images.test)
    assert sum(len(images) for images, _ in digit_images.batches(digit_images.test, 40)) == 40
    network_logits = partial(torch_logits, saved_network.network)
    correct = [
        (network_logits(images).argmax(1) == labels).sum()
        for images, labels in digit_images.batches(digit_images.test)
    ]
    assert sum(correct) / len(digit_images.test) > 0.6
