"""The workers of a search: how many there are and where they run."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """The workers that train the candidates of a search."""

    executor: str | Executor | None = None
    """``inline`` (this process), ``local`` (worker processes on this machine), ``dask``, or an
    executor of ``concurrent.futures``. None: dask with a scheduler, local with several workers,
    devices or a memory limit, and inline otherwise."""
    workers: int | None = None
    """Number of jobs that run at the same time; None: one, or as many as the executor has."""
    scheduler: str | None = None
    """Address of a Dask scheduler, such as ``tcp://host:8786``."""
    devices: tuple[str, ...] | None = None
    """Device of each local worker, such as ``cuda:0``; with dask, ``cuda`` takes GPU workers."""
    memory: int | None = None
    """Memory limit of a local worker, in bytes."""

    @property
    def executor_or_default(self) -> str | Executor:
        """The executor, or the one that the other fields need."""
        if self.executor is not None:
            return self.executor
        # Only a worker process can have a device or a memory limit of its own.
        needs_processes = (self.workers or 1) > 1 or self.devices or self.memory is not None
        return "dask" if self.scheduler else "local" if needs_processes else "inline"

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of ``search.driver.run_search`` and ``make_dry_run``."""
        return {
            "executor": self.executor_or_default,
            "workers": self.workers,
            "scheduler": self.scheduler,
            "devices": self.devices,
            "memory": self.memory,
        }


INLINE = WorkerConfig()
"""This process alone."""
