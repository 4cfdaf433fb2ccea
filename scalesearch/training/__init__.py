"""Job -> Epochs: the only expensive verb, a pure function of the job on the CPU."""

from scalesearch.streams import stream
from scalesearch.training.answers import logits, trained
from scalesearch.training.job import Epoch, Job, identity
from scalesearch.training.loop import OutOfMemory, TrainingDiverged, train, train_together
from scalesearch.training.schedules import learning_rate
from scalesearch.training.shape import SWEEP, adapted

__all__ = [
    "SWEEP",
    "Epoch",
    "Job",
    "OutOfMemory",
    "TrainingDiverged",
    "adapted",
    "identity",
    "learning_rate",
    "logits",
    "stream",
    "train",
    "train_together",
    "trained",
]
