"""Downloads: announced, fetched once, checked by hash, and kept in a folder."""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pooch

from scalesearch.errors import ScaleSearchError

if TYPE_CHECKING:
    from requests import Response

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes done and the total."""
Announce: TypeAlias = Callable[[str], None]
"""Called with a sentence about what is about to be downloaded."""

TIMEOUT_SECONDS = 30.0  # seconds without a byte after which a server counts as unreachable
CHUNK_BYTES = 2**18  # bytes between two progress reports
MIN_HASH_DIGITS = 8
"""Least digits of a partially known hash; names of published weight files end in eight."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file, its hash, and its addresses; the first that answers is used.

    ``sha256``: hexadecimal, or its first digits (at least eight) if no more was published. Those
    detect a damaged or a different file; they are too short against a forged one.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]

    def __post_init__(self) -> None:
        digits = self.sha256.lower()
        if not MIN_HASH_DIGITS <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
            raise ValueError(
                f"need {MIN_HASH_DIGITS} to 64 hexadecimal digits of a SHA-256, got {self.sha256!r}"
            )
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise ValueError(f"need a plain file name, got {self.name!r}")

    @property
    def hash_text(self) -> str:
        """The hash as text that states how much of it is known."""
        if len(self.sha256) == 64:
            return f"SHA-256 {self.sha256}"
        return f"SHA-256 beginning with {self.sha256}"

    def matches_file(self, path: Path) -> bool:
        """Whether a file is this one."""
        return path.is_file() and sha256_of(path).startswith(self.sha256.lower())


def announce_on_stderr(message: str) -> None:
    """Print a message on standard error."""
    print(message, file=sys.stderr)


def fetch_file(
    where: str,
    download: Download,
    folder: Path,
    progress: Progress | None = None,
    *,
    error_type: type[ScaleSearchError],
    announce: Announce = announce_on_stderr,
    max_bytes: int | None = None,
) -> Path:
    """Return the file in ``folder``; download it unless it is there and whole.

    It gets its name when it is complete and its hash is right. An interrupted download goes on
    where it ended. ``announce`` is called with source and size before anything is read,
    ``progress`` with bytes. More than ``max_bytes`` bytes are refused. Raises ``error_type`` with
    what to do by hand.
    """
    path, failures = folder / download.name, []
    if download.matches_file(path):
        return path
    for url in download.urls:
        try:
            return _retrieve(
                url, download, path, _ResumingDownloader(path, progress, announce, max_bytes)
            )
        except OSError as error:  # no network, no such file on the server, or no room here
            failures.append(f"{url} ({_error_text(error)})")
        except ValueError as error:  # our own file, for another hash or too large
            failures.append(f"{url} ({error})")
    if path.is_file():
        failures.append(f"{path} (another file: its SHA256 hash is {sha256_of(path)})")
    raise error_type(
        f"{where}: need {download.name}, got no such file from {'; '.join(failures)}; start again "
        f"with a network, or bring the file ({download.hash_text}) and put it at {path}"
    )


def sha256_of(path: Path) -> str:
    """Hash of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_text(size: int) -> str:
    """Return a size for people: 20.5 MB."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def _retrieve(url: str, download: Download, path: Path, downloader: "_ResumingDownloader") -> Path:
    with _silence_pooch():
        downloaded = Path(
            pooch.retrieve(
                url,
                known_hash=None,  # pooch accepts only whole hashes
                fname=f".{download.name}.whole",
                path=path.parent,
                downloader=downloader,
            )
        )
    digest = sha256_of(downloaded)
    if not digest.startswith(download.sha256.lower()):
        page_text = "; it is a web page" if _is_web_page(downloaded) else ""
        downloaded.unlink()
        raise ValueError(
            f"another file: SHA256 hash {digest} does not match "
            f"{download.sha256.lower()}{page_text}"
        )
    os.replace(downloaded, path)
    return path


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        first_bytes = file.read(256).lstrip().lower()
    return first_bytes.startswith((b"<!doctype html", b"<html"))


@contextmanager
def _silence_pooch() -> Iterator[None]:
    """Silence pooch: we announce downloads ourselves, with their size."""
    logger = pooch.get_logger()
    previous_level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(previous_level)


def _error_text(error: OSError) -> str:
    """Text of an error without the layers of libraries around it."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT_SECONDS:.0f} seconds"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke; what has come is kept"
    return str(error)


class _ResumingDownloader:
    """Downloader for pooch that keeps an interrupted download and resumes it.

    It takes over a partial file by renaming, so two processes never write to one file.
    """

    def __init__(
        self, path: Path, progress: Progress | None, announce: Announce, max_bytes: int | None
    ) -> None:
        self.path = path
        self.partial = path.with_name(f".{path.name}.partial")
        self.progress = progress
        self.announce = announce
        self.max_bytes = max_bytes

    def __call__(self, url: str, output_file: str, _: Any, check_only: bool = False) -> None:
        import requests  # half a second to import, and only needed here

        if self.partial.exists():
            os.replace(self.partial, output_file)
        offset = Path(output_file).stat().st_size
        # No other encoding: the bytes sent must be the file, byte for byte.
        headers = {"Accept-Encoding": "identity"} | (
            {"Range": f"bytes={offset}-"} if offset else {}
        )
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS
            ) as response:
                # 416: the file was already complete; its hash will show whether it is right
                if response.status_code != requests.codes.requested_range_not_satisfiable:
                    response.raise_for_status()
                    self._write(url, response, output_file, offset)
        except (OSError, KeyboardInterrupt):
            if Path(output_file).stat().st_size:
                os.replace(output_file, self.partial)
            raise

    def _write(self, url: str, response: "Response", output_file: str, offset: int) -> None:
        is_resumed = response.status_code == 206
        bytes_done = offset if is_resumed else 0  # a server without ranges sends the whole file
        content_length = response.headers.get("Content-Length", "")
        total = bytes_done + int(content_length) if content_length.isdigit() else 0
        self._require_room_for(total)
        size_text_of_total = (
            size_text(total) if total else "of a size that the server does not tell"
        )
        resume_text = f", the rest of it from byte {bytes_done:,} on" if bytes_done else ""
        self.announce(
            f"downloading {self.path.name}, {size_text_of_total}{resume_text}: from {url} to "
            f"{self.path.parent}"
        )
        with open(output_file, "ab" if is_resumed else "wb") as file:
            for chunk in response.iter_content(CHUNK_BYTES):
                self._require_room_for(bytes_done + len(chunk))
                bytes_done += file.write(chunk)
                if self.progress is not None:
                    self.progress(bytes_done, max(bytes_done, total))

    def _require_room_for(self, size: int) -> None:
        if self.max_bytes is not None and size > self.max_bytes:
            raise ValueError(f"more than the {size_text(self.max_bytes)} that such a file may have")
