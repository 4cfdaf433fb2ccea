"""Turns of networks that are timed. Nothing is drawn between turns: that would be work, too."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scalesearch.progress.display import SECONDS_BETWEEN_LINES, terminal


@contextmanager
def turns_shown() -> Iterator[Callable[[str, int, int], None]]:
    """What to call after a turn: with what is being done, and how many rounds of how many are."""
    on_terminal = terminal() is not None
    told = float("-inf")

    def show(words: str, done: int, of: int) -> None:
        nonlocal told
        rounds = f"   round {done} of {of}" if done else ""
        if on_terminal:
            print(f"\r{words}{rounds}\x1b[K", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - told >= SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            print(f"{words}{rounds}", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
