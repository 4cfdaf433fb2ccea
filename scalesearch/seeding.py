"""Random streams that are named, not handed on, so that nothing depends on what ran before.

Each use of chance has a stream of its own, which starts anew every epoch, or every step:

=====================================  =====================================================
``seed, "data", epoch``                order and augmentation: the same for all candidates
``seed, "initialisation", network``    the first weights: a candidate's own
``seed, "dropout", epoch, step``       dropout and drop-connect; of several processes that
                                       train one network, each has its rank behind the step
=====================================  =====================================================

Candidates of one seed are thereby paired, and a checkpoint needs no generator's state.
"""

import hashlib
import json


def stream_seed(seed: int, *purpose: str | int) -> int:
    """The 63-bit seed of the stream with this purpose; equal in every process and version."""
    name = json.dumps(["scalesearch", seed, *purpose], separators=(",", ":"))
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
