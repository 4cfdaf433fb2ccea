"""fvcore's count of multiply-adds: an independent check of our closed form.

It needs a built network, and the code it checks does not depend on it.
"""

import warnings
from functools import lru_cache

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.models.stopwatch import use_threads


@lru_cache(maxsize=64)
def fvcore_macs(architecture: Architecture | CustomModel) -> int:
    """Multiply-adds of one image: fvcore's ``conv`` and ``linear`` operators only.

    fvcore traces a forward pass on the CPU (its tracer cannot run on the meta device): 0.2 s for
    B0, 2 s and 1 GB for B7.
    """
    from scalesearch.models.network import build_model

    # No gradients: a trace that records them keeps every activation, 4.5 GB for B7.
    network = build_model(architecture).eval().requires_grad_(False)
    resolution = architecture.resolution
    image_BCHW = next(network.parameters()).new_zeros(
        1, architecture.in_channels, resolution, resolution
    )
    # On a busy machine several threads mostly wait, at three times the CPU time.
    with warnings.catch_warnings(), use_threads(1):
        # fvcore uses torch.jit, which newer versions of PyTorch deprecate.
        warnings.simplefilter("ignore", DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network, image_BCHW)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_operator = analysis.tracer_warnings("none").by_operator()
    return int(by_operator["conv"] + by_operator["linear"])
