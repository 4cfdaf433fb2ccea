import itertools

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.export import onnx_files as int8
from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.deploy.export.format_comparison import (
    ExportVariant,
    export_variants,
    variant_accuracies,
)
from scalesearch.deploy.export.onnx_files import float_model, onnx_logits_function, write_int8
from scalesearch.deploy.export.qat import QatConfig, onnx_runtime_quantizer, write_int8_qat
from scalesearch.deploy.export.torch_export import export_program
from scalesearch.errors import ExportError
from scalesearch.models.network import build_model


@pytest.fixture(scope="module")
def made(reader):
    return float_model(reader)


@pytest.fixture(scope="module")
def int8_file(reader, digits, made, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "reader.int8.onnx"
    return path, write_int8(path, reader, digits, onnx_model=made)


def weights_of_convolutions(path):
    """The whole numbers that convolutions read, and the scales of each."""
    graph = onnx.load(path).graph
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    pairs = []
    for node in convolutions:
        pair = made[node.input[1]]
        assert pair.op_type == "DequantizeLinear"
        pairs.append((held[pair.input[0]], held[pair.input[1]]))
    return pairs


def activation_types(path):
    """The types of the whole numbers that activations are rounded to."""
    graph = onnx.load(path).graph
    held = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {held[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"}


def same_types(path):
    for weights, scales in weights_of_convolutions(path):
        assert weights.dtype == np.int8
        assert scales.shape == weights.shape[:1]  # a scale for each channel
    assert activation_types(path) == {onnx.TensorProto.UINT8}


def test_eight_bits_cost_a_few_answers_in_a_hundred(int8_file, reader, digits):
    path, found = int8_file
    assert found.images == 64
    eager, rounded = variant_accuracies(
        [*export_variants(reader, {})[:1], ExportVariant("int8", onnx_logits_function(path))],
        digits,
    )
    assert abs(eager.accuracy - rounded.accuracy) < 0.05
    assert rounded.same > 0.9


def test_weights_are_int8_by_channel_and_activations_uint8(int8_file):
    same_types(int8_file[0])


def test_logits_stay_float(int8_file):
    graph = onnx.load(int8_file[0]).graph
    (last,) = [node for node in graph.node if "logits" in node.output]
    assert last.op_type == "Gemm"


def test_int8_takes_any_batch(int8_file):
    images = torch.randn(7, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    together = onnx_logits_function(int8_file[0])(images)
    alone = torch.cat([onnx_logits_function(int8_file[0])(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


def test_ranges_from_the_wrong_images_are_refused_and_leave_no_file(
    reader, digits, made, tmp_path, monkeypatch
):
    read = int8._calibration_reader
    monkeypatch.setattr(
        int8, "_calibration_reader", lambda batches: read(x * 1000 for x in batches)
    )
    with pytest.raises(ExportError, match="need the float network's answer on at least 50%"):
        write_int8(tmp_path / "n.onnx", reader, digits, onnx_model=made)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_training_with_rounded_numbers_goes_to_onnx_with_the_same_types(reader, digits, tmp_path):
    path = tmp_path / "reader.int8-qat.onnx"
    steps, tuning = [], QatConfig(epochs=1, batch_size=64)
    found = write_int8_qat(path, reader, digits, tuning, steps.append)
    assert steps == [*range(1, tuning.steps(320) + 1)] == [1, 2, 3, 4, 5]
    same_types(path)
    assert found.file_parity.same_fraction > 0.98  # of the program that was trained
    assert found.network_parity.same_fraction > 0.85
    assert found.slowdown > 1  # in PyTorch's eager mode
    eager, rounded = variant_accuracies(
        [*export_variants(reader, {})[:1], ExportVariant("qat", onnx_logits_function(path))], digits
    )
    assert abs(eager.accuracy - rounded.accuracy) < 0.05
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_clipped_is_rounded_once_and_logits_never():
    stage = Stage(block="basic", expansion=1, kernel=3, stride=1, width=8, repeats=1, squeeze=0)
    one = Architecture(
        stem=8, stages=(stage,), head=0, resolution=8, num_classes=3, activation="relu"
    )
    network = fold_batch_norms(build_model(one).eval())
    graph = export_program(network, torch.zeros(2, 3, 8, 8), "n").module()
    onnx_runtime_quantizer().annotate(graph)
    told = {
        node: node.meta["quantization_annotation"]
        for node in graph.graph.nodes
        if "quantization_annotation" in node.meta
    }
    rounded = [node.name for node, note in told.items() if note.output_qspec is not None]
    # Each convolution and the sum is followed by a ReLU, but for the branch's last convolution.
    assert rounded == ["relu", "relu_1", "conv2d_2", "relu_2", "mean"]
    assert all(not note.input_qspec_map for node, note in told.items() if "relu" in node.name)


@pytest.mark.parametrize(
    "value",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}],
)
def test_a_tuning_that_is_none_is_refused(value):
    (name,) = value
    with pytest.raises(ValueError, match=f"need {name}"):
        QatConfig(**value)


def test_calibration_and_test_images_are_apart(digits):
    seen = torch.cat(list(digits.calibration_batches())).flatten(1)
    test = torch.cat([images for images, _ in digits.batches(digits.test)]).flatten(1)
    assert not any(torch.equal(one, other) for one, other in itertools.product(seen[:20], test))
