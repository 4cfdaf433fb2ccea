"""Job -> Epochs: the only expensive verb, a pure function of the job on the CPU."""

from scalesearch.streams import stream
from scalesearch.training.answers import logits, trained
from scalesearch.training.job import Epoch, Job, Weights, identity
from scalesearch.training.loop import OutOfMemory, TrainingDiverged, train, train_together
from scalesearch.training.preflight import fitting_micro_batch
from scalesearch.training.schedules import full_rate, learning_rate
from scalesearch.training.shape import SWEEP, adapted
from scalesearch.training.sweep import Sweep, swept

__all__ = [
    "SWEEP",
    "Epoch",
    "Job",
    "OutOfMemory",
    "Sweep",
    "TrainingDiverged",
    "Weights",
    "adapted",
    "fitting_micro_batch",
    "full_rate",
    "identity",
    "learning_rate",
    "logits",
    "stream",
    "swept",
    "train",
    "train_together",
    "trained",
]
