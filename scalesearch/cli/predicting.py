"""Commands that use a network: what is in images, and how sure its answers are."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.errors import DataError

if TYPE_CHECKING:
    from scalesearch.experiment import DataSpec
    from scalesearch.predict import Calibration, Classifier, Prediction, Refused

# The parts of scalesearch are imported within the commands: help has no use for torch.

Saved = Annotated[
    Path, typer.Argument(metavar="NETWORK", help="A .safetensors file, as `train` writes it.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]

SKIPPED = 20
"""Images without an answer that are named on standard error; all of them are counted."""


def predict(
    network: Saved,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...|FOLDER", help="Files, and folders of them.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Answers to each image.")] = 5,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a row for each image to this file.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 64,
    device: Device = "auto",
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Say what is in images, the most probable first.

    Images that cannot be read are skipped and named; the exit code is then 2, as it is where
    there is no image at all.
    """
    from scalesearch.predict import Classifier, images_in
    from scalesearch.predict.table import csv_file, json_document
    from scalesearch.progress import counted

    classifier = Classifier.read(network, device, allow_code=allow_code)
    preparation = classifier.preparation
    top = min(top, len(preparation.class_names) or top)
    total = sum(1 for _ in images_in(images))
    if not total:
        places = ", ".join(map(str, images))
        raise DataError(f"predict: need images, got none in {places}; give their folder or files")
    head = {
        "network": str(network),
        "name": classifier.name,
        "temperature": preparation.temperature,
    }
    began, done, skipped = time.monotonic(), 0, _Skipped(SKIPPED)
    with ExitStack() as held:
        sinks: list[Callable[[Prediction | Refused], None]] = [skipped.add]
        if csv is not None:
            sinks.append(held.enter_context(csv_file(csv, top)))
        if as_json:
            sinks.append(held.enter_context(json_document(sys.stdout, head, top)))
        elif csv is None:
            sinks.append(lambda answer: _print_line(answer, top))
        if csv is not None or not sys.stdout.isatty():  # else the lines tell how far it is
            tell = held.enter_context(counted("images", total))
        else:
            tell = None
        answers = classifier.predict_batch(images_in(images), batch)
        for done, answer in enumerate(answers, start=1):
            for sink in sinks:
                sink(answer)
            if tell is not None:
                tell(done)
    skipped.tell()
    pace = done / (time.monotonic() - began)
    where = "" if csv is None else f"   {csv}"
    said = f"{done:,} images   {skipped.count:,} skipped   {pace:,.0f} img/s{where}"
    print(said, file=sys.stderr)
    if skipped.count:
        raise typer.Exit(2)


def temperature(
    network: Saved,
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
    device: Device = "auto",
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Calibrate a network's probabilities: find what to divide its logits by, on validation
    images, and write a new file that says so."""
    from scalesearch.data import load, load_test
    from scalesearch.nets import code_allowed
    from scalesearch.predict import Classifier, calibrated, with_temperature
    from scalesearch.predict.measured import require_new
    from scalesearch.progress import images_shown
    from scalesearch.tables import print_json, print_table

    target = out or network.with_name(f"{network.stem}-calibrated{network.suffix}")
    require_new(target)
    classifier = Classifier.read(network, device, allow_code=allow_code)
    spec, seed = _images_of(network, data, seed, validation_samples, classifier)
    with images_shown() as on_data:
        dataset, test = load(spec, seed, progress=on_data), load_test(spec, progress=on_data)
    found = calibrated(classifier, dataset, test)
    with code_allowed(allow_code):
        with_temperature(network, target, found.temperature)
    if figure is not None:
        _draw(found, figure)
    if as_json:
        print_json({"network": str(network), "out": str(target), **asdict(found)})
        return
    print_table(_rows(found))
    bins = found.test[0].bins
    print(
        f"temperature {found.temperature:.4f}, fitted on the validation images; "
        f"ece over {bins} bins of confidence   {target}"
    )


def _images_of(
    network: Path,
    data: str | None,
    seed: int,
    validation_samples: int | None,
    classifier: "Classifier",
) -> "tuple[DataSpec, int]":
    """The images as they are stored for the network, and the seed that they are drawn with."""
    from scalesearch.experiment import DataSpec

    pixels = classifier.preparation.stored
    if data is not None:
        return DataSpec(source=data, validation_samples=validation_samples, pixels=pixels), seed
    from scalesearch.report.run_folder import recorded_run

    if not (network.parent / "run.json").is_file():
        raise DataError(
            f"{network}: need images to calibrate on, got none, nor the folder of a run; give "
            "--data, and the --seed that the images to train on were drawn with"
        )
    asked = recorded_run(network.parent)["asked"]
    return replace(DataSpec(**asked["data"]), pixels=pixels), int(asked["seed"])


def _rows(found: "Calibration") -> list[dict[str, Any]]:
    """A row for each part of the images before and after."""
    return [
        {
            "images": f"{part} ({each.images:,})",
            "temperature": value,
            "accuracy": each.accuracy,
            "nll": each.nll,
            "ece": each.ece,
        }
        for part, pair in (("validation", found.validation), ("test", found.test))
        for value, each in zip((found.previous, found.temperature), pair, strict=True)
    ]


def _draw(found: "Calibration", path: Path) -> None:
    """Of the test images, before and after."""
    from scalesearch.plots import write_figure
    from scalesearch.plots.reliability import reliability_curves, reliability_figure

    names = (f"temperature {value:.3g}" for value in (found.previous, found.temperature))
    bins = (
        [(one.images, one.confidence, one.accuracy) for one in part.curve] for part in found.test
    )
    drawn = reliability_figure(reliability_curves(dict(zip(names, bins, strict=True))))
    write_figure(drawn, path.with_suffix("") if path.suffix in (".png", ".svg") else path)


def _print_line(answer: "Prediction | Refused", top: int) -> None:
    """An image and its answers; one that has none is told of on standard error, at the end."""
    from scalesearch.predict import Refused
    from scalesearch.predict.table import safe

    if isinstance(answer, Refused):
        return
    guesses = (f"{safe(one.class_name)} {one.probability:.4f}" for one in answer.top(top))
    print("   ".join([safe(answer.image), *guesses]))


@dataclass(slots=True)
class _Skipped:
    """Images without an answer: all are counted, the first ones named."""

    most: int
    count: int = 0
    first: "list[Refused]" = field(default_factory=list)

    def add(self, answer: "Prediction | Refused") -> None:
        from scalesearch.predict import Refused

        if isinstance(answer, Refused):
            self.count += 1
            if len(self.first) < self.most:
                self.first.append(answer)

    def tell(self) -> None:
        from scalesearch.predict.table import safe

        for one in self.first:
            print(f"skipped: {safe(one.image)}: {safe(one.reason)}", file=sys.stderr)
        if self.count > len(self.first):
            more = self.count - len(self.first)
            print(f"skipped: {more:,} more; --csv lists them all", file=sys.stderr)
