# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/metrics for Prometheus and /healthz for the kubelet's probes."""

from __future__ import annotations

import collections
import http.server
import threading
import typing as t
from collections.abc import Callable

ORPHAN_KINDS = (
    "device_without_volume", "image_missing", "image_without_record", "part_left", "record_unreadable", "stranger",
)  # fmt: skip
_POOL = {
    "total": "Size of the pool's file system.",
    "free": "Free bytes of the pool's file system.",
    "reserved": "Bytes that always stay free.",
    "committed": "Sizes of all volumes and what snapshots take.",
    "promised": "Bytes kept for volumes that are not written yet.",
    "available": "The largest volume that can be made.",
}


def text(report: t.Mapping[str, t.Any]) -> str:
    """Prometheus' text format."""
    lines = []

    def gauge(name: str, about: str, rows: t.Mapping[str, float]) -> None:
        lines.append(f"# HELP hostplane_local_{name} {about}")
        lines.append(f"# TYPE hostplane_local_{name} gauge")
        lines.extend(f"hostplane_local_{name}{labels} {value}" for labels, value in rows.items())

    for key, about in _POOL.items():
        gauge(f"pool_{key}_bytes", about, {"": report["pool"][key]})
    kinds = collections.Counter((row["kind"], row["state"]) for row in report["volumes"])
    rows = {f'{{kind="{kind}",state="{state}"}}': float(count) for (kind, state), count in sorted(kinds.items())}
    gauge("volumes", "Records of the pool.", rows)
    found = collections.Counter(row["kind"] for row in report["orphans"])
    gauge("orphans", "What belongs to no volume.", {f'{{kind="{kind}"}}': found[kind] for kind in ORPHAN_KINDS})
    return "\n".join(lines) + "\n"


class _Handler(http.server.BaseHTTPRequestHandler):
    make: Callable[[], t.Mapping[str, t.Any]]
    healthy: Callable[[], bool]

    def do_GET(self) -> None:
        kind = type(self)
        if self.path == "/metrics":
            self._answer(200, text(kind.make()))
        elif self.path == "/healthz":
            good = kind.healthy()
            self._answer(200 if good else 503, "ok\n" if good else "not ready\n")
        else:
            self._answer(404, "there are /metrics and /healthz\n")

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: t.Any) -> None:
        pass


def serve(port: int, make: Callable[[], t.Mapping[str, t.Any]], healthy: Callable[[], bool]) -> http.server.HTTPServer:
    handler = type("Handler", (_Handler,), {"make": staticmethod(make), "healthy": staticmethod(healthy)})
    server = http.server.ThreadingHTTPServer(("", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
