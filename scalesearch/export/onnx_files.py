"""Networks as ONNX files, checked with ONNX Runtime."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.errors import ExportError
from scalesearch.export.agreement import Agreement, Answers, random_batches
from scalesearch.export.extras import extra, quiet
from scalesearch.export.folded import folded
from scalesearch.export.pictures import Pictures
from scalesearch.export.programs import compared, input_size, metadata, program
from scalesearch.files import write_bytes
from scalesearch.weights import Saved

INPUT, OUTPUT = "images", "logits"
"""Names in the graph: (batch, C, R, R) float32, as prepared, to (batch, K), before any softmax."""

BATCH = "batch"
"""What the number of images is called."""


def write_onnx(
    path: Path, saved: Saved, pictures: Pictures | None = None, *, made: Any = None
) -> list[Agreement]:
    """Write the network, its norms folded, as ONNX with a dynamic batch, whole or not at all.

    ``metadata`` is in the model's properties, a JSON text each. ONNX Runtime's answers are compared
    with PyTorch's on random images and, where there are ``pictures``, on real ones; returned is how
    they agree. ``made``: the network's ``float_model``, where it is already there. Raises
    ExportError where they differ, and then leaves no file.
    """
    extra("onnxruntime", "onnx")  # before what takes long
    content = (made or float_model(saved)).SerializeToString()
    found = compared(str(path), saved, answers(content), pictures)
    write_bytes(path, content)
    return found


def float_model(saved: Saved) -> Any:
    """The ``onnx.ModelProto`` of a network, its norms folded. Raises ExportError where it cannot be
    had."""
    return model(saved, folded(saved.network), "onnx")


def model(saved: Saved, network: nn.Module, form: str) -> Any:
    """The same of a network in evaluation mode that answers in the saved one's place; ``form``: of
    the format that needs it."""
    onnx = extra("onnx", form)
    extra("onnxscript", form)
    where = f"--format {form}"
    graph = program(network, random_batches(*input_size(saved), [2])[0], where)
    try:
        with quiet():
            exported = torch.onnx.export(
                graph, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
    except Exception as error:  # the exporter's own kinds, and those of what it calls
        raise ExportError(
            f"{where}: need a network of operators that ONNX has, got {type(error).__name__}: "
            f"{error}"
        ) from error
    assert exported is not None  # as dynamo=True gives a program
    made = exported.model_proto
    _tidy(made)
    onnx.helper.set_model_props(
        made, {f"scalesearch.{key}": json.dumps(value) for key, value in metadata(saved).items()}
    )
    onnx.checker.check_model(made)
    return made


def read_onnx_metadata(path: Path) -> dict[str, Any]:
    """What a file of ours says of its network beside the weights; see ``metadata``."""
    onnx = extra("onnx", "onnx")
    properties = onnx.load(str(path)).metadata_props
    return {
        entry.key.removeprefix("scalesearch."): json.loads(entry.value)
        for entry in properties
        if entry.key.startswith("scalesearch.")
    }


def answers(model: bytes | Path, *, threads: int = 1, optimised: bool = True) -> Answers:
    """What ONNX Runtime answers with a model, on the CPU.

    ``optimised``: let it fuse operators; without, each is computed as it stands in the file.
    """
    return partial(run, session(model, threads=threads, optimised=optimised))


def session(model: bytes | Path, *, threads: int = 1, optimised: bool = True) -> Any:
    """A session of ONNX Runtime. Raises ExportError for what is no model."""
    runtime = extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its kinds share no class
        raise ExportError(f"{'model' if isinstance(model, bytes) else model}: {error}") from error


def run(session: Any, images_BCHW: Tensor) -> Tensor:
    """The logits of a session, as a tensor."""
    (logits,) = session.run([OUTPUT], {INPUT: images_BCHW.contiguous().numpy()})
    return torch.from_numpy(logits)


def _tidy(model: Any) -> None:
    """Leave out where in Python's code each node comes from, which are paths of no use elsewhere;
    the number of images is called ``batch``."""
    graph = model.graph
    (symbol,) = {side.dim_param for side in _sides(graph.input[0]) if side.dim_param}
    for value in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    for value in [*graph.value_info, *graph.input, *graph.output]:
        for side in _sides(value):
            if side.dim_param:
                side.dim_param = re.sub(rf"\b{symbol}\b", BATCH, side.dim_param)
    del graph.metadata_props[:]
    graph.doc_string = ""


def _sides(value: Any) -> Any:
    return value.type.tensor_type.shape.dim
