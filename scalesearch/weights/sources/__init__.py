"""Where weights come from: names, files, addresses, the Hugging Face hub."""

from scalesearch.weights.sources.classes import imagenet_classes
from scalesearch.weights.sources.pretrained import from_pretrained
from scalesearch.weights.sources.table import PRETRAINED, PretrainedWeights, pretrained_weights

__all__ = ["PRETRAINED", "PretrainedWeights", "from_pretrained", "imagenet_classes", "pretrained_weights"]
