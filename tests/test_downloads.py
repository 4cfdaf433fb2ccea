"""Downloads: whole, checked, resumed; and what is said when they cannot be had."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
from refusals import refused

from scalesearch.downloads import CHUNK_BYTES, Download, fetch_file, size_text
from scalesearch.errors import DataError

CONTENT = np.random.default_rng(0).bytes(600_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
asked = partial(fetch_file, error_type=DataError)


@dataclass
class Server:
    """Sends CONTENT; the first ``broken`` answers end after ``cut`` bytes."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    tells: bool = True  # how much there is to come
    broken: int = 0
    cut: int = 300_000
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if self.path != "/file.gz":
                self.send_error(404)
                return
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            begin = begin if state.ranges else 0
            if begin >= len(state.content):
                self.send_error(416)
                return
            body = state.content[begin:]
            self.send_response(206 if begin else 200)
            if state.tells:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cut = state.broken > 0
            state.broken -= cut
            self.wfile.write(body[: state.cut] if cut else body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}/"
        yield state
        httpd.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path):
    def got(*names: str, sha256: str = SHA256, progress=None, **options):
        urls = tuple(server.url + name for name in names or ("file.gz",))
        wanted = Download("file.gz", sha256, urls)
        return asked("data.source some", wanted, tmp_path / "cache", progress, **options)

    return got


def test_a_file_is_downloaded_once_under_its_name_alone(get, server):
    path = get()
    assert path.read_bytes() == CONTENT
    assert get() == path
    assert server.asked == [None]
    assert list(path.parent.iterdir()) == [path]


def test_progress_counts_bytes_to_the_end(get):
    calls = []
    get(progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert len(calls) > 1


def test_a_download_that_broke_off_goes_on_where_it_ended(get, server):
    server.broken = 1
    with refused(DataError):
        get()
    assert get().read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={CHUNK_BYTES}-"]  # pieces are kept whole
    assert len(list(get().parent.iterdir())) == 1


def test_ctrl_c_leaves_what_there_is_to_go_on_from(get, server):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(progress=interrupt)
    assert get().read_bytes() == CONTENT
    assert server.asked[1].startswith("bytes=")


def test_a_server_without_ranges_sends_all_again(get, server):
    server.broken, server.ranges = 1, False
    with pytest.raises(DataError):
        get()
    assert get().read_bytes() == CONTENT


def test_the_rest_of_a_whole_file_is_nothing(get, server, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/.file.gz.partial").write_bytes(CONTENT)
    assert get().read_bytes() == CONTENT


def test_another_file_than_expected_is_refused_and_not_kept(get, server, tmp_path):
    server.content = b"<html>not here</html>"
    with refused(DataError):
        get()
    assert not list((tmp_path / "cache").iterdir())
    server.content = CONTENT
    assert get().read_bytes() == CONTENT


def test_a_damaged_file_is_downloaded_again(get):
    get().write_bytes(CONTENT[:1000])
    assert get().read_bytes() == CONTENT


def test_the_second_address_is_asked_where_the_first_fails(get, server):
    assert get("gone.gz", "file.gz").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_without_a_network_the_message_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/file.gz"
    wanted = Download("file.gz", SHA256, (url,))
    with refused(DataError) as error:
        asked("data.source some", wanted, tmp_path)
    assert f"(SHA-256 {SHA256})" in str(error.value)


def test_a_file_that_was_brought_by_hand_needs_no_network(tmp_path):
    (tmp_path / "file.gz").write_bytes(CONTENT)
    wanted = Download("file.gz", SHA256, ("http://127.0.0.1:1/file.gz",))
    assert asked("data.source some", wanted, tmp_path) == tmp_path / "file.gz"


def test_a_cache_that_cannot_be_written_is_refused(get, tmp_path):
    (tmp_path / "cache").touch()
    with refused(DataError):
        get()


def test_a_file_that_no_server_has_is_refused_with_the_servers_answers(get):
    with refused(DataError):
        get("gone.gz", "lost.gz")


def test_what_comes_is_told_with_its_size_and_origin_before_any_of_it_is_read(get, server):
    events = []
    path = get(announce=events.append, progress=lambda *_: events.append("bytes"))
    where = f"from {server.url}file.gz to {path.parent}"
    assert events[0] == f"downloading file.gz, 600.0 kB: {where}"
    assert events.count("bytes") == len(events) - 1 > 1
    get(announce=events.append)
    assert len(events) == 1 + events.count("bytes")  # what is there is not downloaded


def test_a_download_speaks_on_standard_error_unless_told_otherwise(get, capsys):
    get()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("downloading file.gz, 600.0 kB: from http")
    assert captured.err.count("\n") == 1


def test_the_rest_of_a_download_is_told_as_such(get, server):
    server.broken = 1
    with pytest.raises(DataError):
        get()
    told = []
    get(announce=told.append)
    assert f"600.0 kB, the rest of it from byte {CHUNK_BYTES:,} on: from http" in told[0]


def test_eight_digits_of_a_hash_tell_the_file_from_another(get, server, tmp_path):
    assert get(sha256=SHA256[:8].upper()).read_bytes() == CONTENT
    assert get(sha256=SHA256[:8]).read_bytes() == CONTENT
    assert len(server.asked) == 1
    with refused(DataError):
        get(sha256="0123abcd")
    assert get(sha256=SHA256[:8]).read_bytes() == CONTENT  # which that has left alone
    assert len(server.asked) == 2


def test_a_file_that_is_another_is_kept_and_told_of_where_no_right_one_comes(get, tmp_path):
    get().write_bytes(b"my own")
    with refused(DataError):
        get("gone.gz")
    assert (tmp_path / "cache" / "file.gz").read_bytes() == b"my own"


@pytest.mark.parametrize("tells", [True, False])
def test_more_bytes_than_such_a_file_may_have_are_not_taken(get, server, tmp_path, tells):
    server.tells = tells
    seen = []
    with refused(DataError):
        get(max_bytes=400_000, progress=lambda done, _: seen.append(done))
    assert max(seen, default=0) <= 400_000
    assert not (seen and tells)
    assert not list((tmp_path / "cache").iterdir())


def test_a_file_of_unknown_size_is_told_as_such_and_comes_whole(get, server):
    server.tells, told = False, []
    assert get(announce=told.append).read_bytes() == CONTENT
    assert "of a size that the server does not tell" in told[0]


@pytest.mark.parametrize("digits", ["", "abc", "0123abcg", SHA256 + "0"])
def test_too_few_digits_are_no_hash(digits):
    with refused(ValueError):
        Download("file.gz", digits, ())


@pytest.mark.parametrize("name", ["../file.gz", "a/b", "/etc/passwd", "..", ".hidden", ""])
def test_a_name_that_leads_out_of_its_folder_is_refused(name):
    with refused(ValueError):
        Download(name, SHA256, ())


def test_sizes_are_told_in_units_of_their_own():
    sizes = (12, 3_400, 20_451_000, 1_200_000_000)
    assert [size_text(size) for size in sizes] == ["12 bytes", "3.4 kB", "20.5 MB", "1.2 GB"]
