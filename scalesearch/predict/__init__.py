"""A network in use: what is in an image, and how sure one can be of it."""

from scalesearch.predict.calibration import (
    Calibration,
    Reliability,
    fitted_temperature,
    reliability,
)
from scalesearch.predict.classifier import Classifier
from scalesearch.predict.folders import images_in
from scalesearch.predict.measured import calibrated, with_temperature
from scalesearch.predict.prediction import Guess, Prediction, Refused

__all__ = [
    "Calibration",
    "Classifier",
    "Guess",
    "Prediction",
    "Refused",
    "Reliability",
    "calibrated",
    "fitted_temperature",
    "images_in",
    "reliability",
    "with_temperature",
]
