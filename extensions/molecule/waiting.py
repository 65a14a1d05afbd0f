# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kubernetes.client import ApiException


def until(what: str, check: Callable[[], Any], seconds: float = 120) -> Any:
    """Ask until the answer is true, and return it; a request or an assertion that fails counts as false."""
    deadline, said = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            answer = check()
            if answer:
                return answer
        except (ApiException, AssertionError) as exc:
            said = str(exc)
        time.sleep(0.3)
    raise AssertionError(f"{what}: not within {seconds} s. {said}")
