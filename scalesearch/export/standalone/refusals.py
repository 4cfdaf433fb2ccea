"""What another library's networks cannot be, named all at once."""

from collections.abc import Callable, Iterable, Iterator

from scalesearch.architectures import Architecture, Stage
from scalesearch.errors import ExportError


def require_representable(name: str, library_model: str, reasons: Iterable[str]) -> None:
    """Raise ExportError where there are reasons why a network cannot be ``whose``."""
    if reason_text := "; ".join(reasons):
        raise ExportError(
            f"{name}: need a network that {library_model} can be, got one with {reason_text}; export it as "
            "`python`, which can be any network"
        )


def reasons_by_stage(
    architecture: Architecture, reasons: Callable[[int, Stage], Iterable[str]]
) -> Iterator[str]:
    """The reasons of all stages, each with the numbers of its stages.

    ``reasons`` takes a stage with the channels that flow into it.
    """
    stage_numbers: dict[str, list[int]] = {}
    for number, (inputs, stage) in enumerate(architecture.transitions(), start=1):
        for reason in reasons(inputs, stage):
            stage_numbers.setdefault(reason, []).append(number)
    for reason, numbers in stage_numbers.items():
        stages = "stage" if len(numbers) == 1 else "stages"
        yield f"in {stages} {', '.join(map(str, numbers))} {reason}"
