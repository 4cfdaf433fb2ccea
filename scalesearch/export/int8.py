"""Post-training quantisation to eight bits, for ONNX Runtime."""

import copy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from scalesearch.export.agreement import Agreement, agreement, require_similar
from scalesearch.export.extras import extra, quiet
from scalesearch.export.onnx_files import INPUT, answers, float_model
from scalesearch.export.pictures import Pictures, torch_answers
from scalesearch.files import write_bytes
from scalesearch.weights import Saved

FORM = "int8"


def write_int8(path: Path, saved: Saved, pictures: Pictures, *, made: Any = None) -> Agreement:
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
    quantization = extra("onnxruntime.quantization", FORM)
    whole = copy.deepcopy(made or float_model(saved))
    quantization.quant_utils.add_pre_process_metadata(whole)  # folded and shaped as it would be
    with tempfile.TemporaryDirectory() as folder, quiet():
        written = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            whole,
            str(written),
            _reader(pictures.calibration()),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={
                "CalibMovingAverage": True,
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
            },
        )
        content = written.read_bytes()
    own = partial(torch_answers, saved.network)
    found = agreement(own, answers(content), pictures.compared())
    require_similar(str(path), found)
    write_bytes(path, content)
    return found


def _reader(batches: Iterator[Tensor]) -> Any:
    """The batches in the form in which ONNX Runtime asks for them."""

    class Reader(extra("onnxruntime.quantization", FORM).CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            images = next(batches, None)
            return None if images is None else {INPUT: images.numpy()}

    return Reader()
