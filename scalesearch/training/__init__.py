"""Job -> Epochs: the only expensive verb, a pure function of the job on the CPU."""

from scalesearch.training.job import Epoch, Job, identity
from scalesearch.training.loop import TrainingDiverged, train
from scalesearch.training.optimisers import learning_rate
from scalesearch.streams import stream

__all__ = ["Epoch", "Job", "TrainingDiverged", "identity", "learning_rate", "stream", "train"]
