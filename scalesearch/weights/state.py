"""Whether a state dict is a network's: the same names, the same shapes."""

from collections.abc import Iterable, Mapping

from scalesearch.errors import WeightsError

LISTED = 8
"""Names that a message gives of each kind; it counts all of them."""

Shape = tuple[int, ...]


def require_same_tensors(
    where: str, expected: Mapping[str, Shape], actual: Mapping[str, Shape], remedy: str
) -> None:
    """Raise WeightsError where tensors are missing, unexpected or misshapen, naming them."""
    differences = {
        "missing": [f"{name} {list(expected[name])}" for name in expected if name not in actual],
        "unexpected": [f"{name} {list(actual[name])}" for name in actual if name not in expected],
        "misshapen": [
            f"{name} {list(actual[name])} instead of {list(expected[name])}"
            for name in expected
            if name in actual and tuple(actual[name]) != tuple(expected[name])
        ],
    }
    if any(differences.values()):
        difference_lines = [
            f"  {len(names)} {kind}: {_listed_names(names)}" for kind, names in differences.items() if names
        ]
        raise WeightsError(
            f"{where}: need the {len(expected)} tensors of the network, got {len(actual)} of which "
            "not all are; " + remedy + "\n" + "\n".join(difference_lines)
        )


def _listed_names(names: Iterable[str]) -> str:
    names = list(names)
    more_text = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more_text
