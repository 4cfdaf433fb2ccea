"""Networks made by user code, and the inspector that may run it.

Without running the code, only the request to it is known. Its cost is counted on the built
network, which needs torch and the user's permission. Both come as an inspector, set by whoever may
run the code (``models.custom_model.code_allowed``). Without one this room cannot run code,
whatever a file names.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

from scalesearch.architectures.totals import Cost
from scalesearch.errors import ArchitectureError


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomModel:
    """Request to a callable ``module:factory``.

    ``factory(depth, width, resolution, num_classes)`` returns the network. ``depth``, ``width``:
    multipliers, which the callable rounds by its own rules. ``resolution``: input pixels per side.
    ``in_channels``: passed if the callable has a parameter of this name.
    """

    factory: str
    depth: float = 1.0
    width: float = 1.0
    resolution: int = 224
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        if not is_factory_name(self.factory):
            raise ValueError(f"need module:factory, such as nets.plain:cnn, got {self.factory!r}")
        for name in ("depth", "width"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"need a finite {name} > 0, got {name}={getattr(self, name)}")
        for name in ("resolution", "in_channels", "num_classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class InspectedModel:
    """Cost and fingerprint of a built network."""

    cost: Cost
    fingerprint: str


Inspector: TypeAlias = Callable[[CustomModel], InspectedModel]

_inspector: ContextVar[Inspector | None] = ContextVar("inspector", default=None)


def is_factory_name(name: str) -> bool:
    """Whether a baseline's name has the form ``module:factory``."""
    return re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", name) is not None


def inspect_custom_model(network: CustomModel) -> InspectedModel:
    """Run the code and inspect the network. Raises ArchitectureError if not allowed."""
    return require_inspector(network)(network)


def require_inspector(network: CustomModel) -> Inspector:
    """Return the current inspector; raise ArchitectureError without one."""
    inspector = _inspector.get()
    if inspector is None:
        raise ArchitectureError(
            f"baseline {network.factory}: this network is made by code, which runs only where it "
            "is allowed; if you trust that code, add --allow-code (in Python: "
            "`with scalesearch.code_allowed(): ...`)"
        )
    return inspector


@contextmanager
def use_inspector(inspector: Inspector) -> Iterator[None]:
    """Use ``inspector`` for custom models in this context."""
    token = _inspector.set(inspector)
    try:
        yield
    finally:
        _inspector.reset(token)
