"""Images on disk, and their transfer to the device while training goes on."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalesearch.errors import DataError

CHUNK_IMAGES = 256  # images in a chunk when all of a split are read
PREFETCHED_BATCHES = 2  # batches read ahead: one slow read is covered by the other

FileStamp: TypeAlias = tuple[int, int, int, int]
"""Inode, size, and times of modification and of change."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class MappedImages:
    """Images of a memory-mapped file, uint8 (N, C, H, W); not in memory until taken.

    ``rows``: int64 (N,), positions of the images in the file, in their order here. ``stamp``:
    state of the file when it was mapped. Replacing or deleting the file does no harm: the mapped
    file stays whole until it is released.
    """

    path: Path
    stored: NDArray[np.uint8]
    rows: NDArray[np.int64]
    stamp: FileStamp

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.rows), *self.stored.shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8

    @property
    def nbytes(self) -> int:
        return self.shape.numel()

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, rows: NDArray[np.int64]) -> "MappedImages":
        """Return these rows of the images, still on disk."""
        return MappedImages(self.path, self.stored, self.rows[rows], self.stamp)

    def take(self, rows: Tensor, *, pinned: bool = False) -> Tensor:
        """Copy these rows into a new tensor; ``pinned`` memory is copied fastest to CUDA.

        Raises DataError if the file has changed since it was mapped.
        """
        stored_rows = self.rows[rows.cpu().numpy()]
        images = torch.empty(
            (len(stored_rows), *self.stored.shape[1:]), dtype=torch.uint8, pin_memory=pinned
        )
        self._require_unchanged()  # reading past the end of a shortened file would kill the process
        # positions are in range, and "clip" is the mode that writes straight into `out`
        np.take(self.stored, stored_rows, axis=0, out=images.numpy(), mode="clip")
        self._require_unchanged()
        return images

    def _require_unchanged(self) -> None:
        current_stamp = _file_stamp(self.path)
        if (
            current_stamp is not None
            and current_stamp[0] == self.stamp[0]
            and current_stamp != self.stamp
        ):
            raise DataError(
                f"cache {self.path}: need a file that does not change while a run reads it, got "
                "one that changed; start again to decode the images anew"
            )


Images: TypeAlias = Tensor | MappedImages
"""uint8 (N, C, H, W), in memory or on disk."""


def map_images(path: Path) -> MappedImages:
    """Map all images of an ``.npy`` file; raise OSError or ValueError for others."""
    stamp = _file_stamp(path)
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    if stamp is None or stored.dtype != np.uint8 or stored.ndim != 4:
        raise ValueError(f"need uint8 images (N, C, H, W), got {stored.dtype} {stored.shape}")
    return MappedImages(path, stored, np.arange(len(stored)), stamp)


def image_chunks(images: Images) -> Iterator[Tensor]:
    """All images in their order, a few hundred at a time, in memory."""
    if isinstance(images, Tensor):
        yield from torch.split(images, CHUNK_IMAGES)
        return
    for rows in torch.split(torch.arange(len(images)), CHUNK_IMAGES):
        yield images.take(rows)


def take_images(images: Images, rows: Tensor) -> Tensor:
    """Return these rows of the images, in memory or on their device."""
    if isinstance(images, MappedImages):
        return images.take(rows)
    # Several times faster than images[rows]: it copies whole images.
    return images.index_select(0, rows.to(images.device))


def prefetch(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Apply a function as ``map`` does, in a thread that works a few results ahead.

    Exceptions of ``function`` reach the caller in order. The thread ends with the generator.
    """
    with ThreadPoolExecutor(1, "prefetch") as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > PREFETCHED_BATCHES:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def fits_in_memory(nbytes: int, device: torch.device | str = "cpu") -> bool:
    """Whether this takes less than half of the free memory."""
    return all(nbytes < free / 2 for free in _free_bytes(torch.device(device)))


def _free_bytes(device: torch.device) -> Iterator[int]:
    """Free bytes under each limit that this machine reports."""
    yield from _system_free_bytes()
    yield from _container_free_bytes()
    if device.type == "cuda":
        yield torch.cuda.mem_get_info(device)[0]


def _system_free_bytes() -> Iterator[int]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        yield from (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except OSError:  # macOS: half of all memory; Windows reports nothing here
        if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
            yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _container_free_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Free bytes under a container's limit; its cached files do not count as used."""
    try:
        limit = int((cgroup / "memory.max").read_text())  # "max" where there is no limit
        used = int((cgroup / "memory.current").read_text())
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        yield limit - used + int(stat["inactive_file"])
    except (OSError, ValueError, KeyError):
        return


def _file_stamp(path: Path) -> FileStamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
