"""Use a trained network: predict images and calibrate its probabilities."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from scalesearch.config.experiment import DataSpec
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.deploy.classifier import Classifier, image_paths
from scalesearch.deploy.predictions import (
    Prediction,
    UnreadableImage,
    csv_prediction_writer,
    json_prediction_writer,
)
from scalesearch.deploy.probability_calibration import (
    ProbabilityCalibration,
    probability_calibration,
    require_new_path,
    write_calibrated_network,
)
from scalesearch.errors import DataError
from scalesearch.figures.classification import reliability_curves, reliability_figure
from scalesearch.figures.style import write_figure
from scalesearch.models.custom_model import code_allowed
from scalesearch.reporting.terminal.display import show_count, show_images
from scalesearch.results.run_folder import read_run

OnPrediction = Callable[[Prediction | UnreadableImage], None]
"""Called with each image's prediction, in the order of the images."""


@dataclass(frozen=True, slots=True)
class PredictionCount:
    """Numbers of images that were predicted and that could not be read."""

    images: int
    unreadable: int
    seconds: float


def predict_images(
    network: str | Path,
    images: Sequence[str | Path],
    *,
    top: int = 5,
    on_prediction: Callable[[Prediction | UnreadableImage, int], None] | None = None,
    csv: str | Path | None = None,
    json_file: TextIO | None = None,
    batch_size: int = 64,
    device: str = "auto",
    allow_code: bool = False,
    progress: bool = False,
) -> PredictionCount:
    """Classify image files and folders with a network file, in batches.

    ``on_prediction`` is called with each image's prediction, or why it could not be read, and the
    number of classes that are wanted: ``top``, or all there are. ``csv``, ``json_file``: where
    rows are written as they come. Images are never held all at once.

    Raises DataError where there is no image at all.
    """
    classifier = Classifier.read(network, device, allow_code=allow_code)
    preparation = classifier.preparation
    top = min(top, len(preparation.class_names) or top)
    paths = [Path(image) for image in images]
    total = sum(1 for _ in image_paths(paths))
    if not total:
        raise DataError(
            f"predict: need images, got none in {', '.join(map(str, images))}; give their folder "
            "or files"
        )
    header = {
        "network": str(network),
        "name": classifier.name,
        "temperature": preparation.temperature,
    }
    started, count, unreadable = time.monotonic(), 0, 0
    with ExitStack() as stack:
        sinks: list[OnPrediction] = []
        if csv is not None:
            sinks.append(stack.enter_context(csv_prediction_writer(Path(csv), top)))
        if json_file is not None:
            sinks.append(stack.enter_context(json_prediction_writer(json_file, header, top)))
        on_count = stack.enter_context(show_count("images", total)) if progress else None
        for prediction in classifier.predict_batch(image_paths(paths), batch_size):
            count += 1
            unreadable += isinstance(prediction, UnreadableImage)
            if on_prediction is not None:
                on_prediction(prediction, top)
            for sink in sinks:
                sink(prediction)
            if on_count is not None:
                on_count(count)
    return PredictionCount(count, unreadable, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class CalibratedNetwork:
    """A network file with calibrated probabilities, and how much they improved."""

    network: Path
    out: Path
    calibration: ProbabilityCalibration

    @property
    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {"network": str(self.network), "out": str(self.out), **asdict(self.calibration)}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for validation and test images, before and after."""
        calibration = self.calibration
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


def calibrate_probabilities(
    network: str | Path,
    data: str | None = None,
    *,
    seed: int = 0,
    validation_samples: int | None = None,
    out: str | Path | None = None,
    figure: str | Path | None = None,
    device: str = "auto",
    allow_code: bool = False,
) -> CalibratedNetwork:
    """Fit the temperature of a network's probabilities and write a new network file.

    ``data``: images such as ``imagefolder:PATH``; by default those of the run in whose folder the
    network lies. ``seed``: the seed with which the training images were drawn. ``out``: by default
    NETWORK-calibrated.safetensors. ``figure``: draw confidence against accuracy to this path.
    """
    network = Path(network)
    out_path = Path(out) if out else network.with_name(f"{network.stem}-calibrated{network.suffix}")
    require_new_path(out_path)
    classifier = Classifier.read(network, device, allow_code=allow_code)
    spec, seed = _images_for_calibration(network, data, seed, validation_samples, classifier)
    with show_images() as on_data:
        dataset = load_dataset(spec, seed, progress=on_data)
        test = load_test_split(spec, progress=on_data)
    calibration = probability_calibration(classifier, dataset, test)
    with code_allowed(allow_code):
        write_calibrated_network(network, out_path, calibration.temperature)
    if figure is not None:
        _write_reliability_figure(calibration, Path(figure))
    return CalibratedNetwork(network, out_path, calibration)


def _images_for_calibration(
    network: Path,
    data: str | None,
    seed: int,
    validation_samples: int | None,
    classifier: Classifier,
) -> tuple[DataSpec, int]:
    """Return the images as stored for the network, and the seed to draw them with."""
    pixels = classifier.preparation.stored
    if data is not None:
        return DataSpec(source=data, validation_samples=validation_samples, pixels=pixels), seed
    if not (network.parent / "run.json").is_file():
        raise DataError(
            f"{network}: need images to calibrate on, got none, nor the folder of a run; give "
            "--data, and the --seed that the images to train on were drawn with"
        )
    run_settings = read_run(network.parent)["asked"]
    return replace(DataSpec(**run_settings["data"]), pixels=pixels), int(run_settings["seed"])


def _write_reliability_figure(calibration: ProbabilityCalibration, path: Path) -> None:
    """Draw the reliability of test images, before and after."""
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
