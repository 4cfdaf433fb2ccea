"""Turns of networks that are timed. Nothing is drawn between turns: that would be work, too."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scalesearch.progress.display import SECONDS_BETWEEN_LINES, terminal_console


@contextmanager
def show_benchmark_rounds() -> Iterator[Callable[[str, int, int], None]]:
    """What to call after a turn: with what is being done, and how many rounds of how many are."""
    is_terminal = terminal_console() is not None
    last_printed = float("-inf")

    def show_round(text: str, done: int, total: int) -> None:
        nonlocal last_printed
        rounds = f"   round {done} of {total}" if done else ""
        if is_terminal:
            print(f"\r{text}{rounds}\x1b[K", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - last_printed >= SECONDS_BETWEEN_LINES:
            last_printed = time.monotonic()
            print(f"{text}{rounds}", file=sys.stderr, flush=True)

    try:
        yield show_round
    finally:
        if is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
