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
from itertools import pairwise
from pathlib import Path

import yaml


class Poller(threading.Thread):
    """Asks a URL ten times a second, each time over a new connection; a refused question may be asked once more."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        super().__init__(daemon=True)
        self.url, self.context = url, context
        self.answers: list[float] = []
        self.lost = 0
        self.ended = threading.Event()

    @classmethod
    def of_api(cls, kubeconfig: Path) -> Poller:
        """Asks the API's endpoint for its health."""
        cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(f"{cluster['server']}/readyz", ssl.create_default_context(cadata=ca))

    def _ask(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=1, context=self.context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def run(self) -> None:
        while not self.ended.wait(0.1):
            if self._ask() or self._ask():
                self.answers.append(time.monotonic())
            else:
                self.lost += 1

    def stop(self) -> float:
        """End it; returns the longest time without an answer in seconds, up to now."""
        self.ended.set()
        self.join()
        assert self.answers, f"{self.url} never answered"
        return max(after - before for before, after in pairwise([*self.answers, time.monotonic()]))
