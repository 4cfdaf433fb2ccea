"""Named random streams, so that no result depends on what ran before.

Each use of randomness has its own stream, which starts again every epoch or every step:

=====================================  =====================================================
``seed, "data", epoch``                order and augmentation: the same for all candidates
``seed, "initialisation", network``    initial weights: each candidate has its own
``seed, "dropout", epoch, step``       dropout and drop-connect; if several processes train
                                       one network, each adds its rank after the step
=====================================  =====================================================

So candidates of one seed are paired, and a checkpoint needs no generator state.
"""

import hashlib
import json


def stream_seed(seed: int, *purpose: str | int) -> int:
    """63-bit seed of the stream for this purpose; equal in every process and version."""
    name = json.dumps(["scalesearch", seed, *purpose], separators=(",", ":"))
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
