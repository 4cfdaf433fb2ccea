"""optuna-dashboard on a copy of a search's study, so that nothing done there reaches the search."""

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
from scalesearch.search.study.database import database
from scalesearch.search.study.opened import explained, shown

STUDY = "study.db"
HOST = "127.0.0.1"


def dashboard(
    folder: Path,
    port: int = 8080,
    *,
    storage: str | None = None,
    name: str = "",
    told: Callable[[str], None] = print,
) -> None:
    """Show a search's study in the browser until KeyboardInterrupt.

    Arguments as of ``served``; ``told`` is called with the address once it answers.
    """
    with served(folder, port, storage=storage, name=name) as address:
        told(address)
        threading.Event().wait()


@contextmanager
def served(
    folder: Path, port: int = 0, *, storage: str | None = None, name: str = ""
) -> Iterator[str]:
    """The address on this machine at which a copy of a search's study is shown meanwhile.

    The copy is made now, also while the search runs, and is removed at the end. ``port``: 0 takes
    a free one. ``storage``: the URL of the database that has the study, ``name`` its name there,
    where it is not in the folder. Raises SearchError where there is no study, no optuna-dashboard,
    or no such port.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise SearchError(
            "dashboard: needs the package optuna-dashboard; `pip install 'scalesearch[dashboard]'`"
        ) from error
    with _copied(folder, storage, name) as copy:
        try:
            server = make_server(HOST, port, wsgi(copy), _Server, _Quiet)
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


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """Answers while another answer is under way: the page asks for several things at once."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Says nothing of each request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _copied(folder: Path, storage: str | None, name: str) -> Iterator[BaseStorage]:
    if storage is not None:
        yield _copied_from_server(storage, name)
        return
    path = folder / STUDY
    if not path.exists():
        raise SearchError(
            f"{path}: no such study; name the folder of a search that was begun, and with "
            "--storage the database that has its study, if it is in one"
        )
    with tempfile.TemporaryDirectory(prefix="scalesearch-") as temporary:
        copy = Path(temporary) / STUDY
        with explained(str(path), "copied"):
            copy_file(path, copy)
            opened = database(f"sqlite:///{copy}")
        try:
            yield opened
        finally:
            opened.engine.dispose()


def _copied_from_server(storage: str, name: str) -> BaseStorage:
    where, copy = shown(storage), InMemoryStorage()
    with explained(where, "copied"):
        theirs = database(storage)
        try:
            names = optuna.get_all_study_names(theirs)
            if name not in names:
                raise SearchError(
                    f"{where}: need the name of a study in it, got {name!r}; there are: "
                    f"{', '.join(sorted(names)) or 'none'}"
                )
            optuna.copy_study(from_study_name=name, from_storage=theirs, to_storage=copy)
        finally:
            theirs.engine.dispose()
    return copy


def copy_file(path: Path, copy: Path) -> None:
    """Copy a SQLite file, which may be in use, as it was at one moment, and do not touch it.

    A driver that was killed leaves a journal beside it, which says how to bring it into order;
    then the copy is brought into order. Raises what sqlite3 raises.
    """
    beside = [Path(f"{path}{ending}") for ending in ("-journal", "-wal")]
    # Of a file at rest that is kept with a WAL, only `immutable` leaves no new file beside it.
    rest = "" if any(map(Path.exists, beside)) else "&immutable=1"
    source = f"file:{quote(str(path.absolute()))}?mode=ro{rest}"
    try:
        with (
            closing(sqlite3.connect(source, uri=True)) as theirs,
            closing(sqlite3.connect(copy)) as ours,
        ):
            theirs.backup(ours)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
            raise
        for part in (path, *filter(Path.exists, beside)):
            shutil.copyfile(part, copy.with_name(part.name.replace(path.name, copy.name)))
