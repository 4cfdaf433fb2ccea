"""The command that makes a network file of ours of other people's weights.

The command that writes a network in the forms that others read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import scalesearch as ss
from scalesearch.api.network_sources import code_allowed_if
from scalesearch.cli.export_formats import (
    ExportedFile,
    ExportFormat,
    ExportRequest,
    export_int8,
    export_int8_qat,
    export_onnx,
    export_python,
    export_safetensors,
    export_timm,
    export_timm_config,
    export_torch_program,
    export_torchvision,
    export_torchvision_config,
)
from scalesearch.cli.options import AllowCode, AsJson, Layout
from scalesearch.errors import ExportError


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .pth, .safetensors or Keras .h5 file.")
    ],
    network: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="NETWORK",
            help="The network: efficientnet_b0 to b7, a YAML file of stages, or FAMILY.json:b2.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Network file to write, NAME.safetensors.")
    ],
    layout: Layout = None,
    norm_eps: Annotated[
        float | None,
        typer.Option(min=0, help="Epsilon of the batch norms; by default that of the library."),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of class names, one on a line; or imagenet."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a network file from another library's weights."""
    from scalesearch.reporting.console import print_json, print_table

    imported = ss.import_network(
        file, network, out, layout=layout, norm_eps=norm_eps, classes=classes
    )
    print_json(imported.full_row) if as_json else print_table([imported.full_row])


FORMATS: dict[str, ExportFormat] = {
    "safetensors": export_safetensors,
    "torchvision": export_torchvision,
    "timm": export_timm,
    "python": export_python,
    "torchvision-config": export_torchvision_config,
    "timm-config": export_timm_config,
    "exported": export_torch_program,
    "onnx": export_onnx,
    "int8": export_int8,
    "int8-qat": export_int8_qat,
}
"""What ``--format`` names. Each writes its files whole or not at all, opens them again, and raises
ExportError where it cannot."""

DEPRECATED_FORMATS = {
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
    from scalesearch.reporting.console import print_json, print_table

    format_names, batch_sizes = parse_formats(formats), _parse_batch_sizes(batch)
    request = ExportRequest(
        network, out, data, allow_code, train_samples, validation_samples, seed, epochs
    )
    rows: list[dict[str, Any]] = []
    with code_allowed_if(allow_code), _output_folder(out):
        for name in format_names:
            rows += [_file_row(name, exported_file) for exported_file in FORMATS[name](request)]
        comparison_rows = (
            _comparison_rows(request, rows, batch_sizes, threads, rounds) if compare else []
        )
        document = {"network": network, "files": rows, "comparison": comparison_rows}
        if compare:
            _write_comparison(out, {**document, "data": data, "threads": threads, "rounds": rounds})
    if as_json:
        print_json(document)
        return
    print_table(rows)
    if comparison_rows:
        print()
        print_table(comparison_rows, title=f"CPU, {threads} thread(s), {rounds} rounds by turns")


def _write_comparison(out: Path, document: dict[str, Any]) -> None:
    """The table, and beside it all that it depends on."""
    from scalesearch.io import write_json
    from scalesearch.reporting.console import write_csv
    from scalesearch.results.environment import environment_info

    write_csv(out / "comparison.csv", document["comparison"])
    write_json(out / "comparison.json", {**document, "environment": environment_info("cpu")})


def parse_formats(text: str) -> list[str]:
    """The formats of a list, each once. Raises ExportError for one that there is not."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name in DEPRECATED_FORMATS:
            raise ExportError(f"--format: {name}: {DEPRECATED_FORMATS[name]}")
        if name not in FORMATS:
            from scalesearch.config.validation import suggestion

            raise ExportError(f"--format: no format {name!r}; {suggestion(name, FORMATS)}")
    if not names:
        raise ExportError(f"--format: need one of {', '.join(FORMATS)}, got none")
    return names


@contextmanager
def _output_folder(out: Path) -> Iterator[None]:
    """The folder is there within; where it or a file in it cannot be written, ExportError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error}; choose another --out") from error


def _file_row(name: str, exported_file: ExportedFile) -> dict[str, Any]:
    return {
        "format": name,
        "file": str(exported_file.path),
        "bytes": exported_file.path.stat().st_size,
        "says": exported_file.message,
    }


def _comparison_rows(
    request: ExportRequest,
    rows: Sequence[dict[str, Any]],
    batch_sizes: Sequence[int],
    threads: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """A row for each form and batch."""
    from scalesearch.deploy.export.format_comparison import compare_exports

    files = {row["format"]: Path(row["file"]) for row in rows}
    return compare_exports(
        request.saved_network,
        files,
        request.image_set,
        batch_sizes=batch_sizes,
        threads=threads,
        rounds=rounds,
    )


def _parse_batch_sizes(text: str) -> list[int]:
    """The numbers of a list, each at least 1. Raises ExportError for others."""
    try:
        batch_sizes = [int(number) for number in text.split(",")]
    except ValueError:
        batch_sizes = []
    if not batch_sizes or min(batch_sizes) < 1:
        raise ExportError(f"--batch: need whole numbers of at least 1, such as 1,8, got {text!r}")
    return batch_sizes
