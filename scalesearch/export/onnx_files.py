"""Networks as ONNX files, checked with ONNX Runtime."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.errors import ExportError
from scalesearch.export.agreement import Parity, LogitsFunction, random_batches
from scalesearch.export.extras import import_extra, silence_exporters
from scalesearch.export.folded import fold_batch_norms
from scalesearch.export.pictures import ImageSet
from scalesearch.export.programs import check_parity, input_size, network_metadata, export_program
from scalesearch.files import write_bytes
from scalesearch.weights import SavedNetwork

INPUT_NAME, OUTPUT_NAME = "images", "logits"
"""Names in the graph: (batch, C, R, R) float32, as prepared, to (batch, K), before any softmax."""

BATCH_DIMENSION = "batch"
"""What the number of images is called."""


def write_onnx(
    path: Path, saved_network: SavedNetwork, image_set: ImageSet | None = None, *, built_model: Any = None
) -> list[Parity]:
    """Write the network, its norms folded, as ONNX with a dynamic batch, whole or not at all.

    ``metadata`` is in the model's properties, a JSON text each. ONNX Runtime's answers are compared
    with PyTorch's on random images and, where there are ``pictures``, on real ones; returned is how
    they agree. ``made``: the network's ``float_model``, where it is already there. Raises
    ExportError where they differ, and then leaves no file.
    """
    import_extra("onnxruntime", "onnx")  # before what takes long
    content = (built_model or float_model(saved_network)).SerializeToString()
    parities = check_parity(str(path), saved_network, onnx_logits_function(content), image_set)
    write_bytes(path, content)
    return parities


def float_model(saved_network: SavedNetwork) -> Any:
    """The ``onnx.ModelProto`` of a network, its norms folded. Raises ExportError where it cannot be
    had."""
    return onnx_model(saved_network, fold_batch_norms(saved_network.network), "onnx")


def onnx_model(saved_network: SavedNetwork, network: nn.Module, format_name: str) -> Any:
    """The same of a network in evaluation mode that answers in the saved one's place; ``form``: of
    the format that needs it."""
    onnx = import_extra("onnx", format_name)
    import_extra("onnxscript", format_name)
    where = f"--format {format_name}"
    exported_program = export_program(network, random_batches(*input_size(saved_network), [2])[0], where)
    try:
        with silence_exporters():
            onnx_program = torch.onnx.export(
                exported_program, dynamo=True, input_names=[INPUT_NAME], output_names=[OUTPUT_NAME], verbose=False
            )
    except Exception as error:  # the exporter's own kinds, and those of what it calls
        raise ExportError(
            f"{where}: need a network of operators that ONNX has, got {type(error).__name__}: "
            f"{error}"
        ) from error
    assert onnx_program is not None  # as dynamo=True gives a program
    model_proto = onnx_program.model_proto
    _remove_source_paths(model_proto)
    onnx.helper.set_model_props(
        model_proto, {f"scalesearch.{key}": json.dumps(value) for key, value in network_metadata(saved_network).items()}
    )
    onnx.checker.check_model(model_proto)
    return model_proto


def read_onnx_metadata(path: Path) -> dict[str, Any]:
    """What a file of ours says of its network beside the weights; see ``metadata``."""
    onnx = import_extra("onnx", "onnx")
    properties = onnx.load(str(path)).metadata_props
    return {
        metadata_property.key.removeprefix("scalesearch."): json.loads(metadata_property.value)
        for metadata_property in properties
        if metadata_property.key.startswith("scalesearch.")
    }


def onnx_logits_function(model: bytes | Path, *, threads: int = 1, optimized: bool = True) -> LogitsFunction:
    """What ONNX Runtime answers with a model, on the CPU.

    ``optimised``: let it fuse operators; without, each is computed as it stands in the file.
    """
    return partial(session_logits, onnx_session(model, threads=threads, optimized=optimized))


def onnx_session(model: bytes | Path, *, threads: int = 1, optimized: bool = True) -> Any:
    """A session of ONNX Runtime. Raises ExportError for what is no model."""
    runtime = import_extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its kinds share no class
        raise ExportError(f"{'model' if isinstance(model, bytes) else model}: {error}") from error


def session_logits(session: Any, images_BCHW: Tensor) -> Tensor:
    """The logits of a session, as a tensor."""
    (logits,) = session.run([OUTPUT_NAME], {INPUT_NAME: images_BCHW.contiguous().numpy()})
    return torch.from_numpy(logits)


def _remove_source_paths(model_proto: Any) -> None:
    """Leave out where in Python's code each node comes from, which are paths of no use elsewhere;
    the number of images is called ``batch``."""
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
