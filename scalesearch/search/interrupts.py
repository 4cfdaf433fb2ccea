"""SIGINT and SIGTERM: the first asks for an orderly end, the second is at once."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signal(on_first_signal: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Within, the first signal calls ``halt`` and says so on standard error; the second raises
    KeyboardInterrupt. Yields whether there was one. Outside of the main thread, which alone is
    sent signals, nothing changes."""
    count = 0

    def handle_signal(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt
        on_first_signal()
        print(
            "stopping when the jobs under way have reached a checkpoint; once more to stop at once",
            file=sys.stderr,
            flush=True,
        )

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous_handlers = {number: signal.signal(number, handle_signal) for number in SIGNALS}
    try:
        yield lambda: count > 0
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
