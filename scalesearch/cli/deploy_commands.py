"""Commands that use, fetch, import and export trained networks."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import AllowCode, AsJson, Device, Layout, parse_whole_numbers
from scalesearch.deploy.export.formats import FORMATS, parse_formats
from scalesearch.errors import ExportError

if TYPE_CHECKING:
    from scalesearch.deploy.predictions import Prediction, UnreadableImage

NetworkArgument = Annotated[
    Path,
    typer.Argument(metavar="NETWORK", help="A .safetensors file, as `train` writes it."),
]

NetworkOrMember = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="A .safetensors file; or FAMILY.json:b2, for formats without weights.",
    ),
]

MAX_NAMED_IMAGES = 20
"""Number of unreadable images that are named on standard error; all of them are counted."""


def predict(
    network: NetworkArgument,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...|FOLDER", help="Image files, and folders of images."),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of classes for each image.")] = 5,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a row for each image to this CSV file."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Batch size.")] = 64,
    device: Device = "auto",
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Classify images.

    Images that cannot be read are skipped and named; the exit code is then 2, as it is where
    there is no image at all.
    """
    output = _PredictionOutput(prints=not as_json and csv is None)
    count = ss.predict_images(
        network,
        images,
        top=top,
        on_prediction=output.add,
        csv=csv,
        json_file=sys.stdout if as_json else None,
        batch_size=batch,
        device=device,
        allow_code=allow_code,
        # Printed lines show the progress themselves.
        progress=csv is not None or not sys.stdout.isatty(),
    )
    output.print_unreadable(count.unreadable)
    speed = f"{count.images / count.seconds:,.0f} img/s" + ("" if csv is None else f"   {csv}")
    print(
        f"{count.images:,} images   {count.unreadable:,} skipped   {speed}",
        file=sys.stderr,
    )
    if count.unreadable:
        raise typer.Exit(2)


@dataclass(slots=True)
class _PredictionOutput:
    """Prints predictions, and keeps the first images that could not be read."""

    prints: bool
    unreadable: "list[UnreadableImage]" = field(default_factory=list)

    def add(self, prediction: "Prediction | UnreadableImage", top: int) -> None:
        """Print a prediction, or keep an image that could not be read."""
        from scalesearch.deploy.predictions import UnreadableImage, to_printable

        if isinstance(prediction, UnreadableImage):
            if len(self.unreadable) < MAX_NAMED_IMAGES:
                self.unreadable.append(prediction)
        elif self.prints:
            classes = (
                f"{to_printable(image_class.class_name)} {image_class.probability:.4f}"
                for image_class in prediction.top(top)
            )
            print("   ".join([to_printable(prediction.image), *classes]))

    def print_unreadable(self, count: int) -> None:
        """Print why the kept images could not be read, and how many others there are."""
        from scalesearch.deploy.predictions import to_printable

        for image in self.unreadable:
            name, reason = to_printable(image.image), to_printable(image.reason)
            print(f"skipped: {name}: {reason}", file=sys.stderr)
        if count > len(self.unreadable):
            unnamed = count - len(self.unreadable)
            print(f"skipped: {unnamed:,} more; --csv lists them all", file=sys.stderr)


def calibrate_probabilities(
    network: NetworkArgument,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Images, such as imagefolder:PATH; by default those of the run in whose folder "
            "NETWORK lies.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed with which the training images were drawn.")] = 0,
    validation_samples: Annotated[
        int | None, typer.Option(min=1, help="Number of validation images; by default all.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File to write; by default NETWORK-calibrated.safetensors."
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw confidence against accuracy to FILE.png and FILE.svg."
        ),
    ] = None,
    device: Device = "auto",
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Calibrate the probabilities of a trained network.

    The temperature that divides its logits is fitted on validation images and written to a new
    network file.
    """
    from scalesearch.reporting.console import print_json, print_table

    calibrated = ss.calibrate_probabilities(
        network,
        data,
        seed=seed,
        validation_samples=validation_samples,
        out=out,
        figure=figure,
        device=device,
        allow_code=allow_code,
    )
    if as_json:
        print_json(calibrated.document)
        return
    print_table(calibrated.rows)
    calibration = calibrated.calibration
    print(
        f"temperature {calibration.temperature:.4f}, fitted on the validation images; "
        f"ece over {calibration.test[0].bins} bins of confidence   {calibrated.out}"
    )


def pretrained(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A name such as efficientnet-b0, an address https://..., or hf:OWNER/NAME; "
            "without it, the known names are listed.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Network file to write, NAME.safetensors."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NETWORK", help="With an address: the network, such as efficientnet_b0."
        ),
    ] = None,
    layout: Layout = None,
    sha256: Annotated[
        str,
        typer.Option(metavar="DIGITS", help="With an address: SHA-256 of the file, or its start."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Download published weights, or list those available."""
    from scalesearch.reporting.console import print_json, print_table

    if source is None:
        rows = ss.pretrained_table()
        display_rows = [{key: row[key] for key in ("name", "pixels", "about")} for row in rows]
        print_json({"pretrained": rows}) if as_json else print_table(display_rows)
        return
    file = ss.fetch_pretrained(
        source, out, network=network, layout=layout, sha256=sha256, progress=True
    )
    print_json(file.summary_row) if as_json else print_table([file.summary_row])


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
    network: NetworkOrMember,
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
