"""Augmentation on the device, per image, from draws that were made before the epoch."""

from scalesearch.data.augment.draws import drawn
from scalesearch.data.augment.policies import require_policy
from scalesearch.data.augment.preparation import prepared, shown
from scalesearch.data.augment.view import View, view, zoom

__all__ = ["View", "drawn", "prepared", "require_policy", "shown", "view", "zoom"]
