# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that asks all the time, and tells how long nobody answered."""

from __future__ import annotations

import base64
import ssl
import threading
import time
import urllib.request
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

import yaml
from waiting import until


class Poller(threading.Thread):
    """Asks a URL ten times a second, each time over a new connection; a refused question may be asked once more."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        super().__init__(daemon=True)
        self.url, self.context = url, context
        self.answers: list[float] = []
        # When, and why each of the two questions was not answered.
        self.lost: list[str] = []
        self.ended = threading.Event()

    @classmethod
    def of_api(cls, kubeconfig: Path) -> Poller:
        """Asks the API's endpoint for its health."""
        cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(f"{cluster['server']}/readyz", ssl.create_default_context(cadata=ca))

    def _ask(self) -> str:
        """Why there was no answer; empty when there was one."""
        try:
            # An answer that is no 2xx is an OSError as well.
            with urllib.request.urlopen(self.url, timeout=1, context=self.context):
                return ""
        except OSError as exc:
            return str(exc)

    def start(self) -> None:
        """Begin with the first answer; not every kube-proxy knows at once of what was just deployed."""
        until(f"{self.url} answers", lambda: not self._ask())
        super().start()

    def run(self) -> None:
        while not self.ended.wait(0.1):
            first = self._ask()
            second = first and self._ask()
            if second:
                self.lost.append(f"{datetime.now(timezone.utc):%H:%M:%S} {first}; {second}")
            else:
                self.answers.append(time.monotonic())

    def stop(self) -> float:
        """End it; returns the longest time without an answer in seconds, up to now."""
        self.ended.set()
        self.join()
        assert self.answers, f"{self.url} never answered"
        return max(after - before for before, after in pairwise([*self.answers, time.monotonic()]))
