import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from served import Server


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            if self.path not in state.files:
                self.send_error(404)
                return
            content = state.files[self.path]
            wanted = self.headers.get("Range") or "bytes=0-"
            begin = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            for key, value in state.headers[self.path].items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                cut = state.broken > 0
                state.broken -= cut
                self.wfile.write(content[begin : len(content) * 2 // 3 if cut else None])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}"
        yield state
        httpd.shutdown()
        thread.join()
