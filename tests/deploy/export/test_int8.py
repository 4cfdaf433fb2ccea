import itertools

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from refusals import refused

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.export import onnx_files
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
def built_model(saved_network):
    return float_model(saved_network)


@pytest.fixture(scope="module")
def int8_file(saved_network, digit_images, built_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "reader.int8.onnx"
    return path, write_int8(path, saved_network, digit_images, onnx_model=built_model)


def convolution_weights(path):
    """The whole numbers that convolutions read, and the scales of each."""
    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    node_of_output = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    weights_and_scales = []
    for node in convolutions:
        dequantize_node = node_of_output[node.input[1]]
        assert dequantize_node.op_type == "DequantizeLinear"
        weights_and_scales.append(
            (tensors[dequantize_node.input[0]], tensors[dequantize_node.input[1]])
        )
    return weights_and_scales


def activation_types(path):
    """The types of the whole numbers that activations are rounded to."""
    graph = onnx.load(path).graph
    data_types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {data_types[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}


def assert_int8_types(path):
    for weights, scales in convolution_weights(path):
        assert weights.dtype == np.int8
        assert scales.shape == weights.shape[:1]  # a scale for each channel
    assert activation_types(path) == {onnx.TensorProto.UINT8}


def test_int8_changes_few_predictions(int8_file, saved_network, digit_images):
    path, parity = int8_file
    assert parity.images == 64
    eager, rounded = variant_accuracies(
        [
            *export_variants(saved_network, {})[:1],
            ExportVariant("int8", onnx_logits_function(path)),
        ],
        digit_images,
    )
    assert abs(eager.accuracy - rounded.accuracy) < 0.05
    assert rounded.same > 0.9


def test_weights_are_int8_by_channel_and_activations_uint8(int8_file):
    assert_int8_types(int8_file[0])


def test_int8_keeps_logits_in_float(int8_file):
    graph = onnx.load(int8_file[0]).graph
    (last_node,) = [node for node in graph.node if "logits" in node.output]
    assert last_node.op_type == "Gemm"


def test_int8_accepts_any_batch_size(int8_file):
    images = torch.randn(7, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    batch_logits = onnx_logits_function(int8_file[0])(images)
    single_logits = torch.cat([onnx_logits_function(int8_file[0])(image[None]) for image in images])
    torch.testing.assert_close(batch_logits, single_logits)


def test_int8_calibrated_on_wrong_images_is_refused_and_leaves_no_file(
    saved_network, digit_images, built_model, tmp_path, monkeypatch
):
    calibration_reader = onnx_files._calibration_reader
    monkeypatch.setattr(
        onnx_files,
        "_calibration_reader",
        lambda batches: calibration_reader(x * 1000 for x in batches),
    )
    with refused(ExportError):
        write_int8(tmp_path / "n.onnx", saved_network, digit_images, onnx_model=built_model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_quantisation_aware_training_gives_onnx_with_the_same_types(
    saved_network, digit_images, tmp_path
):
    path = tmp_path / "reader.int8-qat.onnx"
    steps, tuning = [], QatConfig(epochs=1, batch_size=64)
    report = write_int8_qat(path, saved_network, digit_images, tuning, steps.append)
    assert steps == [*range(1, tuning.steps(320) + 1)] == [1, 2, 3, 4, 5]
    assert_int8_types(path)
    assert report.file_parity.same_fraction > 0.98  # of the program that was trained
    assert report.network_parity.same_fraction > 0.85
    assert report.slowdown > 1  # in PyTorch's eager mode
    eager, rounded = variant_accuracies(
        [*export_variants(saved_network, {})[:1], ExportVariant("qat", onnx_logits_function(path))],
        digit_images,
    )
    assert abs(eager.accuracy - rounded.accuracy) < 0.05
    assert list(tmp_path.iterdir()) == [path]


def test_clipped_activations_are_rounded_once_and_logits_never():
    stage = Stage(block="basic", expansion=1, kernel=3, stride=1, width=8, repeats=1, squeeze=0)
    architecture = Architecture(
        stem=8, stages=(stage,), head=0, resolution=8, num_classes=3, activation="relu"
    )
    network = fold_batch_norms(build_model(architecture).eval())
    graph = export_program(network, torch.zeros(2, 3, 8, 8), "n").module()
    onnx_runtime_quantizer().annotate(graph)
    annotations = {
        node: node.meta["quantization_annotation"]
        for node in graph.graph.nodes
        if "quantization_annotation" in node.meta
    }
    rounded = [
        node.name for node, annotation in annotations.items() if annotation.output_qspec is not None
    ]
    # Each convolution and the sum is followed by a ReLU, but for the branch's last convolution.
    assert rounded == ["relu", "relu_1", "conv2d_2", "relu_2", "mean"]
    assert all(
        not annotation.input_qspec_map
        for node, annotation in annotations.items()
        if "relu" in node.name
    )


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}],
)
def test_an_invalid_qat_config_is_refused(settings):
    with refused(ValueError):
        QatConfig(**settings)


def test_calibration_images_are_not_test_images(digit_images):
    calibration_images = torch.cat(list(digit_images.calibration_batches())).flatten(1)
    test_images = torch.cat(
        [images for images, _ in digit_images.batches(digit_images.test)]
    ).flatten(1)
    assert not any(
        torch.equal(calibration_image, test_image)
        for calibration_image, test_image in itertools.product(calibration_images[:20], test_images)
    )
