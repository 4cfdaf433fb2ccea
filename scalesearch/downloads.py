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
Told: TypeAlias = Callable[[str], None]
"""Called with a sentence about what is about to happen."""

SILENCE = 30.0  # seconds without a byte after which a server counts as gone
PIECE = 2**18  # bytes between two reports of progress
LEAST_DIGITS = 8
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
        if not LEAST_DIGITS <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
            raise ValueError(
                f"need {LEAST_DIGITS} to 64 hexadecimal digits of a SHA-256, got {self.sha256!r}"
            )
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise ValueError(f"need a plain file name, got {self.name!r}")

    @property
    def known(self) -> str:
        """The hash in words that say how much of it is known."""
        if len(self.sha256) == 64:
            return f"SHA-256 {self.sha256}"
        return f"SHA-256 beginning with {self.sha256}"

    def is_in(self, path: Path) -> bool:
        """Whether a file is this one."""
        return path.is_file() and sha256_of(path).startswith(self.sha256.lower())


def announced(sentence: str) -> None:
    """Say it on standard error."""
    print(sentence, file=sys.stderr)


def fetched(
    where: str,
    wanted: Download,
    folder: Path,
    progress: Progress | None = None,
    *,
    refusal: type[ScaleSearchError],
    told: Told = announced,
    most: int | None = None,
) -> Path:
    """The file in ``folder``, downloaded unless a whole one is there.

    It gets its name when all of it is there and its hash is right. A download that broke off goes
    on where it ended. ``told`` hears what comes from where, and how large it is, before any of it
    is read; ``progress`` is called with bytes; more than ``most`` bytes are not taken. Raises
    ``refusal`` with what to do by hand.
    """
    place, failures = folder / wanted.name, []
    if wanted.is_in(place):
        return place
    for url in wanted.urls:
        try:
            return _retrieved(url, wanted, place, _Resuming(place, progress, told, most))
        except OSError as error:  # no network, no such file there, no room here
            failures.append(f"{url} ({_reason(error)})")
        except ValueError as error:  # ours, for another hash or too large a file
            failures.append(f"{url} ({error})")
    if place.is_file():
        failures.append(f"{place} (another file: its SHA256 hash is {sha256_of(place)})")
    raise refusal(
        f"{where}: need {wanted.name}, got no such file from {'; '.join(failures)}; start again "
        f"with a network, or bring the file ({wanted.known}) and put it at {place}"
    )


def sha256_of(path: Path) -> str:
    """The hash of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def in_bytes(size: int) -> str:
    """A size for people: 20.5 MB."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def _retrieved(url: str, wanted: Download, place: Path, downloader: "_Resuming") -> Path:
    with _without_words_of_pooch():
        whole = Path(
            pooch.retrieve(
                url,
                known_hash=None,  # pooch knows whole hashes only
                fname=f".{wanted.name}.whole",
                path=place.parent,
                downloader=downloader,
            )
        )
    found = sha256_of(whole)
    if not found.startswith(wanted.sha256.lower()):
        page = "; it is a web page" if _is_page(whole) else ""
        whole.unlink()
        raise ValueError(
            f"another file: SHA256 hash {found} does not match {wanted.sha256.lower()}{page}"
        )
    os.replace(whole, place)
    return place


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(256).lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


@contextmanager
def _without_words_of_pooch() -> Iterator[None]:
    """We have told of the download ourselves, with its size."""
    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _reason(error: OSError) -> str:
    """What went wrong, without the layers of libraries that tell of it."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"no answer in {SILENCE:.0f} seconds"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke; what has come is kept"
    return str(error)


class _Resuming:
    """A downloader for pooch that leaves what it has when it is cut short, and begins with that.

    What is there is taken by renaming, so that two processes never write to one file.
    """

    def __init__(
        self, place: Path, progress: Progress | None, told: Told, most: int | None
    ) -> None:
        self.place = place
        self.partial = place.with_name(f".{place.name}.partial")
        self.progress = progress
        self.told = told
        self.most = most

    def __call__(self, url: str, output_file: str, _: Any, check_only: bool = False) -> None:
        import requests  # half a second to import, and only needed here

        if self.partial.exists():
            os.replace(self.partial, output_file)
        begun = Path(output_file).stat().st_size
        # No other encoding: what comes is to be the file, byte for byte.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=SILENCE) as response:
                # 416: all of it was there already, and its hash will tell whether it is right.
                if response.status_code != requests.codes.requested_range_not_satisfiable:
                    response.raise_for_status()
                    self._write(url, response, output_file, begun)
        except (OSError, KeyboardInterrupt):
            if Path(output_file).stat().st_size:
                os.replace(output_file, self.partial)
            raise

    def _write(self, url: str, response: "Response", output_file: str, begun: int) -> None:
        resumed = response.status_code == 206
        done = begun if resumed else 0  # a server that knows no ranges sends all of it
        coming = response.headers.get("Content-Length", "")
        total = done + int(coming) if coming.isdigit() else 0
        self._require_room_for(total)
        size = in_bytes(total) if total else "of a size that the server does not tell"
        rest = f", the rest of it from byte {done:,} on" if done else ""
        self.told(f"downloading {self.place.name}, {size}{rest}: from {url} to {self.place.parent}")
        with open(output_file, "ab" if resumed else "wb") as file:
            for piece in response.iter_content(PIECE):
                self._require_room_for(done + len(piece))
                done += file.write(piece)
                if self.progress is not None:
                    self.progress(done, max(done, total))

    def _require_room_for(self, size: int) -> None:
        if self.most is not None and size > self.most:
            raise ValueError(f"more than the {in_bytes(self.most)} that such a file may have")
