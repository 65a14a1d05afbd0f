# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""How long an API is away."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from urllib.parse import urlsplit

from ansible_collections.hostplane.cluster.plugins.module_utils import _x509
from ansible_collections.hostplane.cluster.plugins.module_utils._certificates import ROOT


class Gap(threading.Thread):
    """How long the API's endpoint, as its clients know it, gives no answer; each request is a new connection."""

    def __init__(self, kubeconfig: str = f"{ROOT}/admin.conf") -> None:
        super().__init__(daemon=True)
        self.longest: float | None = None
        self._ended = threading.Event()
        try:
            with open(kubeconfig, encoding="utf-8") as handle:
                config = _x509.read_kubeconfig(handle.read())
            self._url = urlsplit(config.server)
            self._context = ssl.create_default_context(cadata=config.ca)
        except (OSError, ValueError):
            self._url = urlsplit("")

    def _answers(self) -> bool:
        host, port = self._url.hostname or "", self._url.port or 6443
        connection = http.client.HTTPSConnection(host, port, timeout=1, context=self._context)
        try:
            connection.request("GET", "/readyz")
            # Without anonymous access it is an answer as well.
            return connection.getresponse().status in (200, 401, 403)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def run(self) -> None:
        if not self._url.hostname or not self._answers():
            return
        last, self.longest = time.monotonic(), 0.0
        while not self._ended.wait(0.05):
            if self._answers():
                now = time.monotonic()
                self.longest, last = max(self.longest, now - last), now
        self.longest = max(self.longest, time.monotonic() - last)

    def stop(self) -> float | None:
        """Seconds of the longest time without an answer; None when the API did not answer to begin with."""
        self._ended.set()
        self.join()
        return None if self.longest is None else round(self.longest, 2)
