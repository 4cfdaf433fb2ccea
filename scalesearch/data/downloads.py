"""Archives of public data sets: fetched once, checked by their hash, kept in the user's cache."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pooch

from scalesearch.data.decoding import Progress
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec
from scalesearch.files import user_cache

if TYPE_CHECKING:
    from requests import Response

SILENCE = 30.0  # seconds without a byte after which a server counts as gone
PIECE = 2**18  # bytes between two reports of progress


@dataclass(frozen=True, slots=True)
class Download:
    """A file, its SHA-256, and where it can be had: the first address that answers is taken."""

    name: str
    sha256: str
    urls: tuple[str, ...]


def archives(
    spec: DataSpec,
    location: str,
    downloads: Sequence[Download],
    cache: Path | None,
    progress: Progress | None,
) -> list[Path]:
    """The files of a data set: those in the folder ``location``, or if that is empty, downloaded.

    Files of one's own are not checked by hash, since they may be other images in the same format.
    """
    where = f"data.source {spec.source}"
    if location:
        return [_own(where, Path(location).expanduser() / wanted.name) for wanted in downloads]
    folder = (cache or user_cache()) / "downloads" / spec.source
    return [fetched(where, wanted, folder, progress) for wanted in downloads]


def fetched(where: str, wanted: Download, folder: Path, progress: Progress | None = None) -> Path:
    """The file in ``folder``, downloaded unless a whole one is there.

    It gets its name when all of it is there and its hash is right. A download that broke off goes
    on where it ended. ``progress`` is called with bytes. Raises DataError with what to do by hand.
    """
    place, failures = folder / wanted.name, []
    for url in wanted.urls:
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{wanted.sha256}",
                fname=wanted.name,
                path=folder,
                downloader=_Resuming(folder / f".{wanted.name}.partial", progress),
            )
            return place
        except OSError as error:  # no network, no such file there, no room here
            failures.append(f"{url} ({_reason(error)})")
        except ValueError as error:  # pooch's, for another hash
            failures.append(f"{url} (another file: {str(error).split('. ')[0]})")
    raise DataError(
        f"{where}: need {wanted.name}, got no such file from {'; '.join(failures)}; start again "
        f"with a network, or bring the file (SHA-256 {wanted.sha256}) and put it at {place}"
    )


def broken(where: str, path: Path, rule: str, got: object) -> DataError:
    """What to raise for an archive that is not what it should be."""
    return DataError(
        f"{where}: need {rule} in {path}, got {got}; remove the file and let it be downloaded "
        "again, or bring a whole one"
    )


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


def _own(where: str, path: Path) -> Path:
    if path.is_file():
        return path
    raise DataError(
        f"{where}: need the file {path.name} in {path.parent}, got none; put it there, or leave "
        "the folder out to have it downloaded"
    )


class _Resuming:
    """A downloader for pooch that leaves what it has when it is cut short, and begins with that.

    What is there is taken by renaming, so that two processes never write to one file.
    """

    def __init__(self, partial: Path, progress: Progress | None) -> None:
        self.partial = partial
        self.progress = progress

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
                    self._write(response, output_file, begun)
        except BaseException:
            if Path(output_file).stat().st_size:
                os.replace(output_file, self.partial)
            raise

    def _write(self, response: "Response", output_file: str, begun: int) -> None:
        resumed = response.status_code == 206
        done = begun if resumed else 0  # a server that knows no ranges sends all of it
        total = done + int(response.headers.get("Content-Length", 0))
        with open(output_file, "ab" if resumed else "wb") as file:
            for piece in response.iter_content(PIECE):
                done += file.write(piece)
                if self.progress is not None:
                    self.progress(done, max(done, total))
