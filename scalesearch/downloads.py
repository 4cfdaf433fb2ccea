"""Files from the network: announced, fetched once, checked by their hash, kept in a folder."""

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
"""Called with bytes done, and bytes in all."""
Announce: TypeAlias = Callable[[str], None]
"""Called with a sentence about what is about to happen."""

TIMEOUT_SECONDS = 30.0  # seconds without a byte after which a server counts as gone
CHUNK_BYTES = 2**18  # bytes between two reports of progress
MIN_HASH_DIGITS = 8
"""Of a hash that is known in part: what file names of published weights end in."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file, its hash, and where it can be had: the first address that answers is taken.

    ``sha256``: in hexadecimal, or its first digits (eight at least) where no more was published.
    Those tell a damaged file, or another one, from the right one; they are too short to withstand
    somebody who forges a file.
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
        """The hash in words that say how much of it is known."""
        if len(self.sha256) == 64:
            return f"SHA-256 {self.sha256}"
        return f"SHA-256 beginning with {self.sha256}"

    def matches_file(self, path: Path) -> bool:
        """Whether a file is this one."""
        return path.is_file() and sha256_of(path).startswith(self.sha256.lower())


def announce_on_stderr(message: str) -> None:
    """Say it on standard error."""
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
    """The file in ``folder``, downloaded unless a whole one is there.

    It gets its name when all of it is there and its hash is right. A download that broke off goes
    on where it ended. ``told`` hears what comes from where, and how large it is, before any of it
    is read; ``progress`` is called with bytes; more than ``most`` bytes are not taken. Raises
    ``refusal`` with what to do by hand.
    """
    path, failures = folder / download.name, []
    if download.matches_file(path):
        return path
    for url in download.urls:
        try:
            return _retrieve(
                url, download, path, _ResumingDownloader(path, progress, announce, max_bytes)
            )
        except OSError as error:  # no network, no such file there, no room here
            failures.append(f"{url} ({_error_text(error)})")
        except ValueError as error:  # ours, for another hash or too large a file
            failures.append(f"{url} ({error})")
    if path.is_file():
        failures.append(f"{path} (another file: its SHA256 hash is {sha256_of(path)})")
    raise error_type(
        f"{where}: need {download.name}, got no such file from {'; '.join(failures)}; start again "
        f"with a network, or bring the file ({download.hash_text}) and put it at {path}"
    )


def sha256_of(path: Path) -> str:
    """The hash of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_text(size: int) -> str:
    """A size for people: 20.5 MB."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def _retrieve(url: str, download: Download, path: Path, downloader: "_ResumingDownloader") -> Path:
    with _silence_pooch():
        downloaded = Path(
            pooch.retrieve(
                url,
                known_hash=None,  # pooch knows whole hashes only
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
            f"another file: SHA256 hash {digest} does not match {download.sha256.lower()}{page_text}"
        )
    os.replace(downloaded, path)
    return path


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        first_bytes = file.read(256).lstrip().lower()
    return first_bytes.startswith((b"<!doctype html", b"<html"))


@contextmanager
def _silence_pooch() -> Iterator[None]:
    """We have told of the download ourselves, with its size."""
    logger = pooch.get_logger()
    previous_level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(previous_level)


def _error_text(error: OSError) -> str:
    """What went wrong, without the layers of libraries that tell of it."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT_SECONDS:.0f} seconds"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke; what has come is kept"
    return str(error)


class _ResumingDownloader:
    """A downloader for pooch that leaves what it has when it is cut short, and begins with that.

    What is there is taken by renaming, so that two processes never write to one file.
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
        # No other encoding: what comes is to be the file, byte for byte.
        headers = {"Accept-Encoding": "identity"} | (
            {"Range": f"bytes={offset}-"} if offset else {}
        )
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS
            ) as response:
                # 416: all of it was there already, and its hash will tell whether it is right.
                if response.status_code != requests.codes.requested_range_not_satisfiable:
                    response.raise_for_status()
                    self._write(url, response, output_file, offset)
        except (OSError, KeyboardInterrupt):
            if Path(output_file).stat().st_size:
                os.replace(output_file, self.partial)
            raise

    def _write(self, url: str, response: "Response", output_file: str, offset: int) -> None:
        is_resumed = response.status_code == 206
        bytes_done = offset if is_resumed else 0  # a server that knows no ranges sends all of it
        content_length = response.headers.get("Content-Length", "")
        total = bytes_done + int(content_length) if content_length.isdigit() else 0
        self._require_room_for(total)
        size_text_of_total = (
            size_text(total) if total else "of a size that the server does not tell"
        )
        resume_text = f", the rest of it from byte {bytes_done:,} on" if bytes_done else ""
        self.announce(
            f"downloading {self.path.name}, {size_text_of_total}{resume_text}: from {url} to {self.path.parent}"
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
