"""Commands that import and export networks."""

from pathlib import Path
from typing import Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import AllowCode, AsJson, Layout, parse_whole_numbers
from scalesearch.deploy.export.formats import FORMATS, parse_formats
from scalesearch.errors import ExportError

NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="A .safetensors file; or FAMILY.json:b2, for formats without weights.",
    ),
]


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


def export(
    network: NetworkArgument,
    formats: Annotated[
        str, typer.Option("--format", metavar="A,B", help=f"Of {', '.join(FORMATS)}.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the files.")],
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images, such as imagefolder:PATH.")
    ] = None,
    train_samples: Annotated[
        int | None, typer.Option(help="With int8-qat: number of images to train on.", min=1)
    ] = None,
    validation_samples: Annotated[
        int | None, typer.Option(help="Number of images to calibrate and compare on.", min=1)
    ] = None,
    epochs: Annotated[
        int, typer.Option(help="With int8-qat: epochs of quantisation-aware training.", min=1)
    ] = 2,
    seed: Annotated[int, typer.Option(help="Seed with which images are drawn.", min=0)] = 0,
    compare: Annotated[
        bool,
        typer.Option(help="Time and test all formats on the CPU, into comparison.csv."),
    ] = False,
    batch: Annotated[
        str, typer.Option(metavar="N,N", help="Batch sizes to time, with commas between.")
    ] = "1",
    threads: Annotated[int, typer.Option(help="Number of CPU threads for --compare.", min=1)] = 1,
    rounds: Annotated[
        int, typer.Option(help="Number of rounds in which all formats are timed.", min=1)
    ] = 20,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Export a model to ONNX, int8, torch.export, Python, timm."""
    from scalesearch.reporting.console import print_json, print_table

    exported = ss.export_model(
        network,
        parse_formats(formats),
        out,
        data=data,
        train_samples=train_samples,
        validation_samples=validation_samples,
        epochs=epochs,
        seed=seed,
        compare=compare,
        batch_sizes=parse_whole_numbers("--batch", batch, "1,8", ExportError),
        threads=threads,
        rounds=rounds,
        allow_code=allow_code,
    )
    if as_json:
        print_json(exported.document)
        return
    print_table(exported.file_rows)
    if exported.comparison_rows:
        print()
        title = f"CPU, {threads} thread(s), {rounds} rounds in turns"
        print_table(exported.comparison_rows, title=title)
