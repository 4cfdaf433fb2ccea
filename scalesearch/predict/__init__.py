"""A network in use: what is in an image, and how sure one can be of it."""

from scalesearch.predict.calibration import (
    ProbabilityCalibration,
    Reliability,
    fit_temperature,
    reliability,
)
from scalesearch.predict.classifier import Classifier
from scalesearch.predict.folders import image_paths
from scalesearch.predict.measured import probability_calibration, write_calibrated_network
from scalesearch.predict.prediction import ClassProbability, Prediction, UnreadableImage

__all__ = [
    "ProbabilityCalibration",
    "Classifier",
    "ClassProbability",
    "Prediction",
    "UnreadableImage",
    "Reliability",
    "probability_calibration",
    "fit_temperature",
    "image_paths",
    "reliability",
    "write_calibrated_network",
]
