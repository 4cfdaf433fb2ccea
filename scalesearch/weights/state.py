"""Whether a state dict is a network's: the same names, the same shapes."""

from collections.abc import Iterable, Mapping

from scalesearch.errors import WeightsError

LISTED = 8
"""Names that a message gives of each kind; it counts all of them."""

Shape = tuple[int, ...]


def require_same_tensors(
    where: str, wanted: Mapping[str, Shape], given: Mapping[str, Shape], remedy: str
) -> None:
    """Raise WeightsError where tensors are missing, unexpected or misshapen, naming them."""
    kinds = {
        "missing": [f"{name} {list(wanted[name])}" for name in wanted if name not in given],
        "unexpected": [f"{name} {list(given[name])}" for name in given if name not in wanted],
        "misshapen": [
            f"{name} {list(given[name])} instead of {list(wanted[name])}"
            for name in wanted
            if name in given and tuple(given[name]) != tuple(wanted[name])
        ],
    }
    if any(kinds.values()):
        told = [
            f"  {len(names)} {kind}: {_listed(names)}" for kind, names in kinds.items() if names
        ]
        raise WeightsError(
            f"{where}: need the {len(wanted)} tensors of the network, got {len(given)} of which "
            "not all are; " + remedy + "\n" + "\n".join(told)
        )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
