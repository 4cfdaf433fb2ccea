"""Augmentation on the device, per image, from draws that were made before the epoch."""

from scalesearch.data.augment.draws import epoch_draws
from scalesearch.data.augment.policies import require_policy
from scalesearch.data.augment.preparation import training_inputs, evaluation_inputs
from scalesearch.data.augment.view import InputTransform, input_transform, default_zoom

__all__ = ["InputTransform", "epoch_draws", "training_inputs", "require_policy", "evaluation_inputs", "input_transform", "default_zoom"]
