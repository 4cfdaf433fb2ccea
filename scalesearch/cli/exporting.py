"""The command that writes a network in the forms that others read."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from scalesearch.cli.forms import (
    Format,
    Wanted,
    Written,
    exported,
    int8,
    int8_qat,
    onnx,
    python,
    safetensors,
    timm,
    timm_config,
    torchvision,
    torchvision_config,
)
from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.cli.sources import code
from scalesearch.errors import ExportError

# The parts of scalesearch are imported within the functions: help has no use for torch.

FORMATS: dict[str, Format] = {
    "safetensors": safetensors,
    "torchvision": torchvision,
    "timm": timm,
    "python": python,
    "torchvision-config": torchvision_config,
    "timm-config": timm_config,
    "exported": exported,
    "onnx": onnx,
    "int8": int8,
    "int8-qat": int8_qat,
}
"""What ``--format`` names. Each writes its files whole or not at all, opens them again, and raises
ExportError where it cannot."""

GONE = {
    "torchscript": "PyTorch has deprecated TorchScript; write exported (torch.export) or onnx",
    "torch.jit": "PyTorch has deprecated TorchScript; write exported (torch.export) or onnx",
}
"""Formats that people ask for, and what to take instead."""


def export(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A .safetensors file; FAMILY.json:b2 where weights do not count.",
        ),
    ],
    formats: Annotated[
        str, typer.Option("--format", metavar="A,B", help=f"Of {', '.join(FORMATS)}.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the files.")],
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images, such as imagefolder:PATH.")
    ] = None,
    train_samples: Annotated[
        int | None, typer.Option(help="Images drawn to train on (int8-qat).", min=1)
    ] = None,
    validation_samples: Annotated[
        int | None, typer.Option(help="Images drawn to calibrate and compare on.", min=1)
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of quantisation-aware training.", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="Of which images are drawn.", min=0)] = 0,
    compare: Annotated[
        bool,
        typer.Option(help="Time and test all forms side by side, on the CPU, into comparison.csv."),
    ] = False,
    batch: Annotated[
        str, typer.Option(metavar="N,N", help="Images in a pass that is timed.")
    ] = "1",
    threads: Annotated[int, typer.Option(help="CPU threads of what is timed.", min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Turns in which all forms are timed.", min=1)] = 20,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Write a network in forms that others read; each file is opened again and compared."""
    from scalesearch.tables import print_json, print_table

    chosen, batches = chosen_formats(formats), _batches(batch)
    wanted = Wanted(network, out, data, allow_code, train_samples, validation_samples, seed, epochs)
    rows: list[dict[str, Any]] = []
    with code(allow_code), _writing(out):
        for name in chosen:
            rows += [_row(name, written) for written in FORMATS[name](wanted)]
        forms = _compared(wanted, rows, batches, threads, rounds) if compare else []
        document = {"network": network, "files": rows, "comparison": forms}
        if compare:
            _write_comparison(out, {**document, "data": data, "threads": threads, "rounds": rounds})
    if as_json:
        print_json(document)
        return
    print_table(rows)
    if forms:
        print()
        print_table(forms, title=f"CPU, {threads} thread(s), {rounds} rounds by turns")


def _write_comparison(out: Path, document: dict[str, Any]) -> None:
    """The table, and beside it all that it depends on."""
    from scalesearch.environment import environment
    from scalesearch.files import write_text
    from scalesearch.tables import write_csv

    write_csv(out / "comparison.csv", document["comparison"])
    text = json.dumps({**document, "environment": environment("cpu")}, indent=2)
    write_text(out / "comparison.json", text + "\n")


def chosen_formats(text: str) -> list[str]:
    """The formats of a list, each once. Raises ExportError for one that there is not."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name in GONE:
            raise ExportError(f"--format: {name}: {GONE[name]}")
        if name not in FORMATS:
            from scalesearch.validation import hint

            raise ExportError(f"--format: no format {name!r}; {hint(name, FORMATS)}")
    if not names:
        raise ExportError(f"--format: need one of {', '.join(FORMATS)}, got none")
    return names


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """The folder is there within; where it or a file in it cannot be written, ExportError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error}; choose another --out") from error


def _row(name: str, written: Written) -> dict[str, Any]:
    return {
        "format": name,
        "file": str(written.path),
        "bytes": written.path.stat().st_size,
        "says": written.says,
    }


def _compared(
    wanted: Wanted,
    rows: Sequence[dict[str, Any]],
    batches: Sequence[int],
    threads: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """A row for each form and batch."""
    from scalesearch.export.comparison import comparison

    files = {row["format"]: Path(row["file"]) for row in rows}
    return comparison(
        wanted.saved, files, wanted.pictures, batches=batches, threads=threads, rounds=rounds
    )


def _batches(text: str) -> list[int]:
    """The numbers of a list, each at least 1. Raises ExportError for others."""
    try:
        found = [int(number) for number in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise ExportError(f"--batch: need whole numbers of at least 1, such as 1,8, got {text!r}")
    return found
