"""Post-training quantisation to eight bits, for ONNX Runtime."""

import copy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from scalesearch.export.agreement import Parity, parity, require_similar_predictions
from scalesearch.export.extras import import_extra, silence_exporters
from scalesearch.export.onnx_files import INPUT_NAME, onnx_logits_function, float_model
from scalesearch.export.pictures import ImageSet, torch_logits
from scalesearch.files import write_bytes
from scalesearch.weights import SavedNetwork

INT8_FORMAT = "int8"


def write_int8(path: Path, saved_network: SavedNetwork, image_set: ImageSet, *, onnx_model: Any = None) -> Parity:
    """Write the network as an ONNX file of eight-bit numbers, whole or not at all.

    Static: the range of each activation is measured on validation images, as the mean of the
    extremes of eight at a time. The extremes of all of them are set by a single odd image, and all
    others are rounded too coarsely (a B0 of a quarter's width then answered 25% of CIFAR-10's
    images as in float, instead of 86%). Weights are symmetric int8, each output channel with a
    scale of its own; activations are uint8, which ONNX Runtime multiplies several times faster than
    int8 on x86; logits stay float32. The graph is float with pairs of QuantizeLinear and
    DequantizeLinear ("QDQ"), which runtimes fuse.

    Returns how its answers agree with the network's on real images; raises ExportError, leaving no
    file, where too few do. ``made``: its ``float_model``, where it is already there.
    """
    quantization = import_extra("onnxruntime.quantization", INT8_FORMAT)
    float_onnx = copy.deepcopy(onnx_model or float_model(saved_network))
    quantization.quant_utils.add_pre_process_metadata(float_onnx)  # folded and shaped as it would be
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
    parity_result = parity(reference_logits, onnx_logits_function(content), image_set.parity_batches())
    require_similar_predictions(str(path), parity_result)
    write_bytes(path, content)
    return parity_result


def _calibration_reader(batches: Iterator[Tensor]) -> Any:
    """The batches in the form in which ONNX Runtime asks for them."""

    class CalibrationReader(import_extra("onnxruntime.quantization", INT8_FORMAT).CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            images = next(batches, None)
            return None if images is None else {INPUT_NAME: images.numpy()}

    return CalibrationReader()
