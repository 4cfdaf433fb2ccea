"""What the logits of networks trained on ImageNet stand for."""

from functools import cache
from pathlib import Path

CLASSES_FILE = Path(__file__).with_name("imagenet_classes.txt")


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's thousand classes, in the order of the logits."""
    lines = CLASSES_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
