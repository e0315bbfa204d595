# SPDX-License-Identifier: Apache-2.0
"""In the server's place: what one with a real vLLM said to GET /metrics and /health.

A server with a real vLLM takes 50 CPU seconds to start. What a key of the scope metrics opens there
is tried in tests/integration/server. On another port it takes alerts, as a webhook does.
"""

import http.server
import pathlib
import sys
import threading

FOLDER = pathlib.Path(sys.argv[1])
KEY = pathlib.Path("/etc/llm-server/metrics_key").read_text()


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "healthy", "model": "test-model", "seconds": 61.0}')
            return
        allowed = self.path == "/metrics" and self.headers["Authorization"] == f"Bearer {KEY}"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        self.wfile.write((FOLDER / "metrics.txt").read_bytes() if allowed else b"")

    def log_message(self, *_):
        pass


class Alerts(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with (FOLDER / "alerts").open("ab") as taken:
            taken.write(body + b"\n")
        self.send_response(200)
        self.end_headers()


alerts = http.server.ThreadingHTTPServer(("127.0.0.1", 8098), Alerts)
threading.Thread(target=alerts.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Metrics).serve_forever()
