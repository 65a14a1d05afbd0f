# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils._renewal_gap import Gap


def test_the_gap_of_an_endpoint(site: Any, tmp_path: Path) -> None:
    site.answers["/readyz"] = site.Answer(200, b"ok")
    ca = base64.b64encode(site.ca.encode()).decode()
    conf = tmp_path / "admin.conf"
    conf.write_text(f"certificate-authority-data: {ca}\nserver: https://{site.address}\n")
    gap = Gap(str(conf))
    gap.start()
    deadline = 200
    while len(site.asked) < 4 and deadline:
        deadline -= 1
        time.sleep(0.02)
    longest = gap.stop()
    assert longest is not None and longest < 5
    site.answers["/readyz"] = site.Answer(500)
    down = Gap(str(conf))
    down.start()
    assert down.stop() is None
    nobody = Gap(str(tmp_path / "missing"))
    nobody.start()
    assert nobody.stop() is None
