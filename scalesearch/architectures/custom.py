"""A network that code makes: what it is asked for, and who may run the code to know more.

All that is known of such a network without running its code is what will be asked of the code.
What it costs is counted on the network made, which needs torch and the user's permission. Both
come as one thing: an inspector, handed down by whoever may run the code (``nets.code_allowed``).
Without one this layer cannot run code, whatever a file names.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.architectures.cost import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomModel:
    """What a callable ``module:factory`` is asked for: ``factory(depth, width, resolution,
    num_classes)`` gives the network.

    ``depth``, ``width``: multipliers, which the callable rounds by its own rules. ``resolution``:
    input pixels per side. ``in_channels``: of the images; the callable is told where it takes a
    parameter of this name.
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
    """What the network made is: its cost, and a name that follows from its content."""

    cost: "Cost"
    fingerprint: str


Inspector: TypeAlias = Callable[[CustomModel], InspectedModel]

_inspector: ContextVar[Inspector | None] = ContextVar("inspector", default=None)


def is_factory_name(name: str) -> bool:
    """Whether a baseline's name has the form ``module:factory``."""
    return re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", name) is not None


def inspect_custom_model(network: CustomModel) -> InspectedModel:
    """Run the code and look at the network. Raises ArchitectureError where that is not allowed."""
    return require_inspector(network)(network)


def require_inspector(network: CustomModel) -> Inspector:
    """The inspector in force. Raises ArchitectureError where none is: code may not be run."""
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
    """Within the block, foreign networks are made and looked at by ``inspector``."""
    token = _inspector.set(inspector)
    try:
        yield
    finally:
        _inspector.reset(token)
