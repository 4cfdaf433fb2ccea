"""ONNX files in float or int8, checked with ONNX Runtime."""

import copy
import json
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.deploy.export.parity import (
    LogitsFunction,
    Parity,
    import_extra,
    parity,
    random_batches,
    require_similar_predictions,
    silence_exporters,
)
from scalesearch.deploy.export.sample_images import ImageSet, torch_logits
from scalesearch.deploy.export.torch_export import (
    check_parity,
    export_program,
    input_size,
    network_metadata,
)
from scalesearch.errors import ExportError
from scalesearch.io import write_bytes
from scalesearch.training.network_file import SavedNetwork

INPUT_NAME, OUTPUT_NAME = "images", "logits"
"""Names in the graph: prepared images (batch, C, R, R) float32, to logits (batch, K)."""

BATCH_DIMENSION = "batch"
"""Name of the dimension of images."""


def write_onnx(
    path: Path,
    saved_network: SavedNetwork,
    image_set: ImageSet | None = None,
    *,
    built_model: Any = None,
) -> list[Parity]:
    """Write the network as ONNX with folded norms and a dynamic batch.

    The model's properties hold ``network_metadata``, a JSON text each. ONNX Runtime's logits are
    compared with PyTorch's on random images and, with an ``image_set``, on real ones; the parities
    are returned. ``built_model``: the network's ``float_model``, if already there. Raises
    ExportError if the logits differ, and then leaves no file.
    """
    import_extra("onnxruntime", "onnx")  # before the slow part
    content = (built_model or float_model(saved_network)).SerializeToString()
    parities = check_parity(str(path), saved_network, onnx_logits_function(content), image_set)
    write_bytes(path, content)
    return parities


def float_model(saved_network: SavedNetwork) -> Any:
    """Return the ``onnx.ModelProto`` of a network with folded norms."""
    return onnx_model(saved_network, fold_batch_norms(saved_network.network), "onnx")


def onnx_model(saved_network: SavedNetwork, network: nn.Module, format_name: str) -> Any:
    """Return the ``onnx.ModelProto`` of another network with the saved one's inputs.

    ``format_name``: the format that needs it, for messages.
    """
    onnx = import_extra("onnx", format_name)
    import_extra("onnxscript", format_name)
    where = f"--format {format_name}"
    exported_program = export_program(
        network, random_batches(*input_size(saved_network), [2])[0], where
    )
    try:
        with silence_exporters():
            onnx_program = torch.onnx.export(
                exported_program,
                dynamo=True,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                verbose=False,
            )
    except Exception as error:  # errors of the exporter, and of the libraries it calls
        raise ExportError(
            f"{where}: need a network of operators that ONNX has, got {type(error).__name__}: "
            f"{error}"
        ) from error
    assert onnx_program is not None  # dynamo=True returns a program
    model_proto = onnx_program.model_proto
    _remove_source_paths(model_proto)
    onnx.helper.set_model_props(
        model_proto,
        {
            f"scalesearch.{key}": json.dumps(value)
            for key, value in network_metadata(saved_network).items()
        },
    )
    onnx.checker.check_model(model_proto)
    return model_proto


def read_onnx_metadata(path: Path) -> dict[str, Any]:
    """Return our metadata in an ONNX file; see ``network_metadata``."""
    onnx = import_extra("onnx", "onnx")
    properties = onnx.load(str(path)).metadata_props
    return {
        metadata_property.key.removeprefix("scalesearch."): json.loads(metadata_property.value)
        for metadata_property in properties
        if metadata_property.key.startswith("scalesearch.")
    }


def onnx_logits_function(
    model: bytes | Path, *, threads: int = 1, optimized: bool = True
) -> LogitsFunction:
    """Return a function that computes a model's logits with ONNX Runtime on the CPU.

    ``optimized``: allow fused operators; otherwise each is computed as in the file.
    """
    return partial(session_logits, onnx_session(model, threads=threads, optimized=optimized))


def onnx_session(model: bytes | Path, *, threads: int = 1, optimized: bool = True) -> Any:
    """Return a session of ONNX Runtime. Raises ExportError for an invalid model."""
    runtime = import_extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base class
        raise ExportError(f"{'model' if isinstance(model, bytes) else model}: {error}") from error


def session_logits(session: Any, images_BCHW: Tensor) -> Tensor:
    """Return the logits of a session, as a tensor."""
    (logits,) = session.run([OUTPUT_NAME], {INPUT_NAME: images_BCHW.contiguous().numpy()})
    return torch.from_numpy(logits)


def _remove_source_paths(model_proto: Any) -> None:
    """Remove the nodes' source positions and name the batch dimension.

    The positions are paths of this machine.
    """
    graph = model_proto.graph
    (symbol,) = {side.dim_param for side in _dimensions(graph.input[0]) if side.dim_param}
    for value in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    for value in [*graph.value_info, *graph.input, *graph.output]:
        for dimension in _dimensions(value):
            if dimension.dim_param:
                dimension.dim_param = re.sub(rf"\b{symbol}\b", BATCH_DIMENSION, dimension.dim_param)
    del graph.metadata_props[:]
    graph.doc_string = ""


def _dimensions(value: Any) -> Any:
    return value.type.tensor_type.shape.dim


INT8_FORMAT = "int8"


def write_int8(
    path: Path, saved_network: SavedNetwork, image_set: ImageSet, *, onnx_model: Any = None
) -> Parity:
    """Write the network as an int8 ONNX file, whole or not at all.

    Static quantisation: the range of each activation is measured on validation images, as the mean
    of the extremes of eight at a time. Extremes over all images would follow a single odd image,
    and all others would be rounded too coarsely (a B0 of a quarter's width then gave the float
    prediction for 25% of CIFAR-10's images, instead of 86%). Weights are symmetric int8 with a
    scale per output channel; activations are uint8, which ONNX Runtime multiplies several times
    faster than int8 on x86; logits stay float32. The graph is float with pairs of QuantizeLinear
    and DequantizeLinear ("QDQ"), which runtimes fuse.

    Returns the parity with the network on real images; raises ExportError, leaving no file, if it
    is too low. ``onnx_model``: the network's ``float_model``, if already there.
    """
    quantization = import_extra("onnxruntime.quantization", INT8_FORMAT)
    float_onnx = copy.deepcopy(onnx_model or float_model(saved_network))
    quantization.quant_utils.add_pre_process_metadata(float_onnx)  # folded and with inferred shapes
    with tempfile.TemporaryDirectory() as folder, silence_exporters():
        int8_path = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            float_onnx,
            str(int8_path),
            _calibration_reader(image_set.calibration_batches()),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={
                "CalibMovingAverage": True,
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
            },
        )
        content = int8_path.read_bytes()
    reference_logits = partial(torch_logits, saved_network.network)
    parity_result = parity(
        reference_logits, onnx_logits_function(content), image_set.parity_batches()
    )
    require_similar_predictions(str(path), parity_result)
    write_bytes(path, content)
    return parity_result


def _calibration_reader(batches: Iterator[Tensor]) -> Any:
    """Return the batches in the form that ONNX Runtime reads."""
    base = import_extra("onnxruntime.quantization", INT8_FORMAT).CalibrationDataReader

    class CalibrationReader(base):  # type: ignore[misc, valid-type]
        def get_next(self) -> dict[str, Any] | None:
            images = next(batches, None)
            return None if images is None else {INPUT_NAME: images.numpy()}

    return CalibrationReader()
