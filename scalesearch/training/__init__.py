"""Job -> Epochs: the only expensive verb, a pure function of the job on the CPU."""

from scalesearch.streams import stream_seed
from scalesearch.training.answers import logits, load_trained_model
from scalesearch.training.job import Epoch, Job, InitialWeights, identity
from scalesearch.training.loop import OutOfMemory, TrainingDiverged, train, train_together
from scalesearch.training.preflight import fitting_micro_batch
from scalesearch.training.schedules import peak_learning_rate, learning_rate
from scalesearch.training.shape import LR_SWEEP_FACTORS, adapted_recipe
from scalesearch.training.sweep import LearningRateSweep, run_lr_sweep

__all__ = [
    "LR_SWEEP_FACTORS",
    "Epoch",
    "Job",
    "OutOfMemory",
    "LearningRateSweep",
    "TrainingDiverged",
    "InitialWeights",
    "adapted_recipe",
    "fitting_micro_batch",
    "peak_learning_rate",
    "identity",
    "learning_rate",
    "logits",
    "stream_seed",
    "run_lr_sweep",
    "train",
    "train_together",
    "load_trained_model",
]
