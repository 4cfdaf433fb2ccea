"""Small networks as files of weights, and a local server for them."""

import hashlib
import io
from dataclasses import dataclass, field
from functools import cache

import torch

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.deploy.layouts.conversion import to_layout
from scalesearch.models.network import build_model

SMALL = Architecture(
    stem=8,
    stages=(Stage(repeats=1, width=8), Stage(repeats=2, width=16, stride=2, expansion=6)),
    head=32,
    resolution=32,
    num_classes=5,
)


@dataclass
class WeightsServer:
    """A server that sends ``files`` by path and records the requested paths."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    requested_paths: list[str] = field(default_factory=list)
    downloads_to_break: int = 0

    def serve(self, path: str, content: bytes, **headers: str) -> str:
        self.files[path] = content
        self.headers[path] = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.url + path


@cache
def seeded_network(architecture=SMALL):
    torch.manual_seed(0)
    return build_model(architecture).eval()


@cache
def torchvision_file(architecture=SMALL) -> bytes:
    """The content of a file of weights in torchvision's layout."""
    buffer = io.BytesIO()
    torch.save(to_layout(seeded_network(architecture), "torchvision"), buffer)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def same_weights(first, second) -> bool:
    first_tensors, second_tensors = first.state_dict(), second.state_dict()
    return all(torch.equal(first_tensors[name], second_tensors[name]) for name in first_tensors)
