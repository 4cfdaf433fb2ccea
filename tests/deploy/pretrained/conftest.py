import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from weights_server import WeightsServer


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    state = WeightsServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send(body=False)

        def do_GET(self) -> None:
            state.requested_paths.append(self.path)
            self.send(body=True)

        def send(self, body: bool) -> None:
            if self.path not in state.files:
                self.send_error(404)
                return
            content = state.files[self.path]
            byte_range = self.headers.get("Range") or "bytes=0-"
            begin = int(byte_range.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            for key, value in state.headers[self.path].items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                is_cut = state.downloads_to_break > 0
                state.downloads_to_break -= is_cut
                self.wfile.write(content[begin : len(content) * 2 // 3 if is_cut else None])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}"
        yield state
        httpd.shutdown()
        thread.join()
