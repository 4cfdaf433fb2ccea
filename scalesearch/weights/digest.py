"""What a network's weights are known by, whatever file they are in."""

import hashlib
import json

import torch
from torch import nn

from scalesearch.nets import Network


def weights_hash(network: nn.Module) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of every tensor's name, type, shape and bytes, and
    of the options that change what the network computes from them.

    Names, class names and a calibrated temperature are no part of it.
    """
    options = network.options if isinstance(network, Network) else None
    options_document = None if options is None else [options.norm_eps, options.padding]
    hasher = hashlib.sha256(json.dumps(options_document).encode())
    for name, tensor in sorted(network.state_dict().items()):
        hasher.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        hasher.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()[:16]
