"""Serve optuna-dashboard on a copy of the study; it cannot change the search."""

import shutil
import socketserver
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.storages import BaseStorage, InMemoryStorage

from scalesearch.errors import SearchError
from scalesearch.search.study.storage import (
    open_database,
    storage_location,
    translate_storage_errors,
)

STUDY_FILE = "study.db"
HOST = "127.0.0.1"


def show_dashboard(
    folder: Path,
    port: int = 8080,
    *,
    storage: str | None = None,
    name: str = "",
    on_address: Callable[[str], None] = print,
) -> None:
    """Serve a copy of a search's study until KeyboardInterrupt.

    Arguments are those of ``serve_dashboard``; ``on_address`` is called with the address once the
    server answers.
    """
    with serve_dashboard(folder, port, storage=storage, name=name) as address:
        on_address(address)
        threading.Event().wait()


@contextmanager
def serve_dashboard(
    folder: Path, port: int = 0, *, storage: str | None = None, name: str = ""
) -> Iterator[str]:
    """Serve a copy of a search's study during the context; yield the address.

    The copy is made at the start, also while the search runs, and is removed at the end.

    Args:
        folder: the search's folder.
        port: 0 takes a free one.
        storage: URL of the database with the study, if it is not in the folder.
        name: name of the study in that database.

    Raises:
        SearchError: there is no study, no optuna-dashboard, or the port is not available.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise SearchError(
            "dashboard: needs the package optuna-dashboard; run "
            "`pip install 'scalesearch[dashboard]'`"
        ) from error
    with _open_copy(folder, storage, name) as copy:
        try:
            server = make_server(HOST, port, wsgi(copy), _ThreadingServer, _QuietRequestHandler)
        except OSError as error:
            raise SearchError(
                f"dashboard: port {port}: {error.strerror}; choose another --port"
            ) from error
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        with server:
            thread.start()
            try:
                yield f"http://{HOST}:{server.server_port}/dashboard/"
            finally:
                server.shutdown()
                thread.join()


class _ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    """A server that answers several requests at once, as the page sends them."""

    daemon_threads = True


class _QuietRequestHandler(WSGIRequestHandler):
    """A handler that does not log requests."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _open_copy(folder: Path, storage: str | None, name: str) -> Iterator[BaseStorage]:
    if storage is not None:
        yield _copy_from_server(storage, name)
        return
    path = folder / STUDY_FILE
    if not path.exists():
        raise SearchError(
            f"{path}: no such study; give the folder of a search that has started, and "
            "--storage if its study is in a database"
        )
    with tempfile.TemporaryDirectory(prefix="scalesearch-") as temporary:
        copy = Path(temporary) / STUDY_FILE
        with translate_storage_errors(str(path), "copied"):
            copy_sqlite_file(path, copy)
            copied_storage = open_database(f"sqlite:///{copy}")
        try:
            yield copied_storage
        finally:
            copied_storage.engine.dispose()


def _copy_from_server(storage: str, name: str) -> BaseStorage:
    location, copy = storage_location(storage), InMemoryStorage()
    with translate_storage_errors(location, "copied"):
        source_storage = open_database(storage)
        try:
            names = optuna.get_all_study_names(source_storage)
            if name not in names:
                raise SearchError(
                    f"{location}: need the name of a study in it, got {name!r}; it has: "
                    f"{', '.join(sorted(names)) or 'none'}"
                )
            optuna.copy_study(from_study_name=name, from_storage=source_storage, to_storage=copy)
        finally:
            source_storage.engine.dispose()
    return copy


def copy_sqlite_file(path: Path, copy: Path) -> None:
    """Copy the state of a SQLite file at one moment, without changing it.

    The file may be in use. A killed driver leaves a journal beside it; then the journal is copied
    too and applied to the copy. Raises what sqlite3 raises.
    """
    journal_files = [Path(f"{path}{ending}") for ending in ("-journal", "-wal")]
    # Without `immutable`, reading a closed file in WAL mode would create new files beside it.
    immutable_option = "" if any(map(Path.exists, journal_files)) else "&immutable=1"
    source = f"file:{quote(str(path.absolute()))}?mode=ro{immutable_option}"
    try:
        with (
            closing(sqlite3.connect(source, uri=True)) as source_connection,
            closing(sqlite3.connect(copy)) as copy_connection,
        ):
            source_connection.backup(copy_connection)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
            raise
        for part in (path, *filter(Path.exists, journal_files)):
            shutil.copyfile(part, copy.with_name(part.name.replace(path.name, copy.name)))
