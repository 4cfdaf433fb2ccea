"""Commands that use a network: what is in images, and how sure its answers are.

The command that fetches published weights.
"""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.errors import DataError, WeightsError

if TYPE_CHECKING:
    from scalesearch.config.experiment import DataSpec
    from scalesearch.deploy.classifier import Classifier
    from scalesearch.deploy.predictions import Prediction, UnreadableImage
    from scalesearch.deploy.probability_calibration import ProbabilityCalibration


# The parts of scalesearch are imported within the commands: help has no use for torch.

NetworkArgument = Annotated[
    Path, typer.Argument(metavar="NETWORK", help="A .safetensors file, as `train` writes it.")
]
DeviceArgument = Annotated[str, typer.Option(help="auto, cpu or cuda.")]

MAX_NAMED_SKIPPED = 20
"""Images without an answer that are named on standard error; all of them are counted."""


def predict(
    network: NetworkArgument,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...|FOLDER", help="Files, and folders of them.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Answers to each image.")] = 5,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a row for each image to this file.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 64,
    device: DeviceArgument = "auto",
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Say what is in images, the most probable first.

    Images that cannot be read are skipped and named; the exit code is then 2, as it is where
    there is no image at all.
    """
    from scalesearch.deploy.classifier import Classifier, image_paths
    from scalesearch.deploy.predictions import csv_prediction_writer, json_prediction_writer
    from scalesearch.reporting.terminal.display import show_count

    classifier = Classifier.read(network, device, allow_code=allow_code)
    preparation = classifier.preparation
    top = min(top, len(preparation.class_names) or top)
    total = sum(1 for _ in image_paths(images))
    if not total:
        path_texts = ", ".join(map(str, images))
        raise DataError(
            f"predict: need images, got none in {path_texts}; give their folder or files"
        )
    header = {
        "network": str(network),
        "name": classifier.name,
        "temperature": preparation.temperature,
    }
    started, image_count, skipped = time.monotonic(), 0, _SkippedImages(MAX_NAMED_SKIPPED)
    with ExitStack() as stack:
        sinks: list[Callable[[Prediction | UnreadableImage], None]] = [skipped.add]
        if csv is not None:
            sinks.append(stack.enter_context(csv_prediction_writer(csv, top)))
        if as_json:
            sinks.append(stack.enter_context(json_prediction_writer(sys.stdout, header, top)))
        elif csv is None:
            sinks.append(lambda answer: _print_prediction(answer, top))
        if csv is not None or not sys.stdout.isatty():  # else the lines tell how far it is
            on_image = stack.enter_context(show_count("images", total))
        else:
            on_image = None
        predictions = classifier.predict_batch(image_paths(images), batch)
        for image_count, prediction in enumerate(predictions, start=1):
            for sink in sinks:
                sink(prediction)
            if on_image is not None:
                on_image(image_count)
    skipped.print_skipped()
    images_per_second = image_count / (time.monotonic() - started)
    csv_text = "" if csv is None else f"   {csv}"
    summary_line = f"{image_count:,} images   {skipped.count:,} skipped   {images_per_second:,.0f} img/s{csv_text}"
    print(summary_line, file=sys.stderr)
    if skipped.count:
        raise typer.Exit(2)


def calibrate_probabilities(
    network: NetworkArgument,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Images, such as imagefolder:PATH; by default those of the run that NETWORK lies "
            "in the folder of.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="With which the images were drawn to train on.")] = 0,
    validation_samples: Annotated[
        int | None, typer.Option(min=1, help="Images drawn to validate on.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The new file; NETWORK-calibrated.safetensors by default.")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Draw how sure and how right it is: OUT.png and OUT.svg."),
    ] = None,
    device: DeviceArgument = "auto",
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Calibrate a network's probabilities: find what to divide its logits by, on validation
    images, and write a new file that says so."""
    from scalesearch.data.sources.by_name import load_dataset, load_test_split
    from scalesearch.deploy.classifier import Classifier
    from scalesearch.deploy.probability_calibration import (
        probability_calibration,
        require_new_path,
        write_calibrated_network,
    )
    from scalesearch.models.custom_model import code_allowed
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.terminal.display import show_images

    out_path = out or network.with_name(f"{network.stem}-calibrated{network.suffix}")
    require_new_path(out_path)
    classifier = Classifier.read(network, device, allow_code=allow_code)
    spec, seed = _images_for_calibration(network, data, seed, validation_samples, classifier)
    with show_images() as on_data:
        dataset, test = (
            load_dataset(spec, seed, progress=on_data),
            load_test_split(spec, progress=on_data),
        )
    calibration = probability_calibration(classifier, dataset, test)
    with code_allowed(allow_code):
        write_calibrated_network(network, out_path, calibration.temperature)
    if figure is not None:
        _write_reliability_figure(calibration, figure)
    if as_json:
        print_json({"network": str(network), "out": str(out_path), **asdict(calibration)})
        return
    print_table(_reliability_rows(calibration))
    bins = calibration.test[0].bins
    print(
        f"temperature {calibration.temperature:.4f}, fitted on the validation images; "
        f"ece over {bins} bins of confidence   {out_path}"
    )


def _images_for_calibration(
    network: Path,
    data: str | None,
    seed: int,
    validation_samples: int | None,
    classifier: "Classifier",
) -> "tuple[DataSpec, int]":
    """The images as they are stored for the network, and the seed that they are drawn with."""
    from scalesearch.config.experiment import DataSpec

    pixels = classifier.preparation.stored
    if data is not None:
        return DataSpec(source=data, validation_samples=validation_samples, pixels=pixels), seed
    from scalesearch.results.run_folder import read_run

    if not (network.parent / "run.json").is_file():
        raise DataError(
            f"{network}: need images to calibrate on, got none, nor the folder of a run; give "
            "--data, and the --seed that the images to train on were drawn with"
        )
    run_settings = read_run(network.parent)["asked"]
    return replace(DataSpec(**run_settings["data"]), pixels=pixels), int(run_settings["seed"])


def _reliability_rows(calibration: "ProbabilityCalibration") -> list[dict[str, Any]]:
    """A row for each part of the images before and after."""
    return [
        {
            "images": f"{part} ({reliability.images:,})",
            "temperature": value,
            "accuracy": reliability.accuracy,
            "nll": reliability.nll,
            "ece": reliability.ece,
        }
        for part, pair in (("validation", calibration.validation), ("test", calibration.test))
        for value, reliability in zip(
            (calibration.previous, calibration.temperature), pair, strict=True
        )
    ]


def _write_reliability_figure(calibration: "ProbabilityCalibration", path: Path) -> None:
    """Of the test images, before and after."""
    from scalesearch.figures.classification import reliability_curves, reliability_figure
    from scalesearch.figures.style import write_figure

    names = (
        f"temperature {value:.3g}" for value in (calibration.previous, calibration.temperature)
    )
    bins = (
        [
            (reliability_bin.images, reliability_bin.confidence, reliability_bin.accuracy)
            for reliability_bin in reliability.curve
        ]
        for reliability in calibration.test
    )
    figure = reliability_figure(reliability_curves(dict(zip(names, bins, strict=True))))
    write_figure(figure, path.with_suffix("") if path.suffix in (".png", ".svg") else path)


def _print_prediction(prediction: "Prediction | UnreadableImage", top: int) -> None:
    """An image and its answers; one that has none is told of on standard error, at the end."""
    from scalesearch.deploy.predictions import UnreadableImage, to_printable

    if isinstance(prediction, UnreadableImage):
        return
    class_texts = (
        f"{to_printable(class_probability.class_name)} {class_probability.probability:.4f}"
        for class_probability in prediction.top(top)
    )
    print("   ".join([to_printable(prediction.image), *class_texts]))


@dataclass(slots=True)
class _SkippedImages:
    """Images without an answer: all are counted, the first ones named."""

    max_named: int
    count: int = 0
    first_images: "list[UnreadableImage]" = field(default_factory=list)

    def add(self, prediction: "Prediction | UnreadableImage") -> None:
        from scalesearch.deploy.predictions import UnreadableImage

        if isinstance(prediction, UnreadableImage):
            self.count += 1
            if len(self.first_images) < self.max_named:
                self.first_images.append(prediction)

    def print_skipped(self) -> None:
        from scalesearch.deploy.predictions import to_printable

        for image in self.first_images:
            print(
                f"skipped: {to_printable(image.image)}: {to_printable(image.reason)}",
                file=sys.stderr,
            )
        if self.count > len(self.first_images):
            unnamed_count = self.count - len(self.first_images)
            print(f"skipped: {unnamed_count:,} more; --csv lists them all", file=sys.stderr)


def pretrained(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="efficientnet-b0, ..., https://..., hf:OWNER/NAME; without one, what there is.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="NAME.safetensors, to be written.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option("--as", metavar="NETWORK", help="Of an address: efficientnet_b0, ..."),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Whose tensors: torchvision, timm, timm-tf, ...")
    ] = None,
    sha256: Annotated[
        str, typer.Option(metavar="DIGITS", help="What the file is checked by.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Fetch published weights and make a network file of them, or list those known by name."""
    from scalesearch.deploy.pretrained.from_source import from_pretrained
    from scalesearch.deploy.pretrained.published_weights import PRETRAINED
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.terminal.display import show_weights_download
    from scalesearch.training.network_file import write_network

    if source is None:
        rows = [weights.row() for weights in PRETRAINED.values()]
        display_rows = [{key: row[key] for key in ("name", "pixels", "about")} for row in rows]
        print_json({"pretrained": rows}) if as_json else print_table(display_rows)
        return
    if out is None:
        raise WeightsError(f"{source}: need --out NAME.safetensors for the network, got none")
    with show_weights_download() as progress:
        saved_network = from_pretrained(
            source, network, layout=layout, sha256=sha256, progress=progress
        )
    name = saved_network.name or out.stem
    path = write_network(
        out,
        saved_network.network,
        saved_network.preparation,
        name=name,
        origin=saved_network.origin,
    )
    row: dict[str, Any] = {
        "file": str(path),
        "network": name,
        "origin": saved_network.origin,
        "params": sum(parameter.numel() for parameter in saved_network.network.parameters()),
        "classes": saved_network.architecture.num_classes,
        "pixels": saved_network.preparation.pixels if saved_network.preparation else None,
    }
    print_json(row) if as_json else print_table([row])
