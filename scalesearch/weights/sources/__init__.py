"""Where weights come from: names, files, addresses, the Hugging Face hub."""

from scalesearch.weights.sources.classes import imagenet_classes
from scalesearch.weights.sources.pretrained import from_pretrained
from scalesearch.weights.sources.table import PRETRAINED, Published, published

__all__ = ["PRETRAINED", "Published", "from_pretrained", "imagenet_classes", "published"]
