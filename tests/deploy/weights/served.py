"""Networks of one's own as files, and a server that gives them on loopback."""

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
class Server:
    """Gives ``files`` by path; ``asked`` are the paths that it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: int = 0

    def give(self, path: str, content: bytes, **headers: str) -> str:
        self.files[path] = content
        self.headers[path] = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.url + path


@cache
def network(architecture=SMALL):
    torch.manual_seed(0)
    return build_model(architecture).eval()


@cache
def torchvision_file(architecture=SMALL) -> bytes:
    """What torchvision's weights would be saved as."""
    kept = io.BytesIO()
    torch.save(to_layout(network(architecture), "torchvision"), kept)
    return kept.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def same_weights(one, other) -> bool:
    tensors, others = one.state_dict(), other.state_dict()
    return all(torch.equal(tensors[name], others[name]) for name in tensors)
