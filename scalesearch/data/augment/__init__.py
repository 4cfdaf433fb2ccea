"""Augmentation on the device, per image, from draws that were made before the epoch."""

from scalesearch.data.augment.draws import drawn
from scalesearch.data.augment.preparation import prepared, shown
from scalesearch.data.augment.view import View, view

__all__ = ["View", "drawn", "prepared", "shown", "view"]
