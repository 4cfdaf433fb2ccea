"""The command that makes a network file of ours of other people's weights.

The command that writes a network in the forms that others read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from scalesearch.cli.options import AllowCode, AsJson, code_allowed_if
from scalesearch.errors import ExportError, WeightsError

if TYPE_CHECKING:
    from scalesearch.architectures.stages import Architecture
    from scalesearch.training.network_file import SavedNetwork


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .pth, .safetensors or Keras' .h5.")
    ],
    network: Annotated[
        str,
        typer.Option(
            "--as", metavar="NETWORK", help="efficientnet_b0, a baseline, YAML, FAMILY.json:b2."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="NAME.safetensors, to be written.")],
    layout: Annotated[
        str | None, typer.Option(help="Whose tensors: torchvision, timm, timm-tf, ...")
    ] = None,
    norm_eps: Annotated[
        float | None, typer.Option(min=0, help="Of the norms, where it is not the library's.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Their names, one a line; or imagenet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a network file of weights of torchvision, timm, efficientnet_pytorch or Keras."""
    from scalesearch.deploy.layouts.conversion import import_weights
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.training.network_file import write_network

    if out.exists() and file.exists() and out.samefile(file):
        raise ExportError(f"--out {out}: need another file than the one imported; name a new one")
    saved_network = import_weights(
        file,
        _network_or_name(network),
        layout,
        fit=True,
        norm_eps=norm_eps,
        class_names=_read_class_names(classes),
    )
    name = saved_network.name or network.rpartition(":")[2]
    path = write_network(
        out,
        saved_network.network,
        saved_network.preparation,
        name=name,
        origin=saved_network.origin,
    )
    row = _network_row(path, name, saved_network)
    print_json(row) if as_json else print_table([row])


def _network_or_name(name: str) -> "str | Architecture":
    """A published network's name as it is; else what it names."""
    from scalesearch.cli.options import read_baseline, require_architecture
    from scalesearch.errors import ArchitectureError
    from scalesearch.models.named import published_network

    if ":" in name:
        from scalesearch.deploy.networks import is_network_reference, network_from_reference

        if is_network_reference(name):
            return require_architecture(network_from_reference(name).network)
    try:
        published_network(name)
    except ArchitectureError:
        if Path(name).suffix in (".yaml", ".yml"):
            return require_architecture(read_baseline(name))
        raise
    return name


def _read_class_names(path: Path | None) -> Sequence[str]:
    """Of a file, or of ImageNet's thousand classes where its name is given."""
    if path is None:
        return ()
    if str(path) == "imagenet":
        from scalesearch.deploy.pretrained.from_source import imagenet_classes

        return imagenet_classes()
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"--classes {path}: need a text file of names, got {error}; write one name a line"
        ) from error


def _network_row(path: Path, name: str, saved_network: "SavedNetwork") -> dict[str, Any]:
    from scalesearch.architectures.cost import cost
    from scalesearch.architectures.stages import Architecture
    from scalesearch.models.network import Network

    assert isinstance(saved_network.network, Network)
    assert isinstance(saved_network.architecture, Architecture)
    options, preparation = saved_network.network.options, saved_network.preparation
    return {
        "file": str(path),
        "network": name,
        "origin": saved_network.origin,
        "params": cost(saved_network.architecture).params,
        "classes": saved_network.architecture.num_classes,
        "norm_eps": options.norm_eps,
        "padding": options.padding,
        "pixels": saved_network.architecture.resolution,
        "resized_to": preparation.stored if preparation else None,
        "mean": list(preparation.mean) if preparation else None,
        "std": list(preparation.std) if preparation else None,
    }


# The parts of scalesearch are imported within the functions: help has no use for torch.

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
