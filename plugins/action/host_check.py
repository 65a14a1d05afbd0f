# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module host_check and compares the host's clock with the controller's, which only this side can see."""

from __future__ import annotations

import re
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.hostplane.cluster.plugins.module_utils import _hostcheck

MAX_SAMPLES = 4


def narrow(bounds: tuple[float, float], sent: float, first: float, last: float, received: float) -> tuple[float, float]:
    """Bounds of (host clock - controller clock): the host's readings lie between `sent` and `received`."""
    return max(bounds[0], last - received), min(bounds[1], first - sent)


def undecided(bounds: tuple[float, float], limit: float) -> bool:
    """Whether part of the interval lies within the limit and part outside."""
    inside = bounds[0] >= -limit and bounds[1] <= limit
    outside = bounds[0] > limit or bounds[1] < -limit
    return not inside and not outside


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def _sample(self, bounds: tuple[float, float]) -> tuple[float, float]:
        """A second look that costs one command instead of a module: no file is copied, so the interval is short."""
        sent = time.time()
        answer = self._low_level_execute_command("date +%s.%N", sudoable=False)
        received = time.time()
        # The epoch with its fraction and nothing else: a banner of the shell may come before it.
        found = re.search(r"^([0-9]{9,}\.[0-9]+)\s*\Z", str(answer.get("stdout", "")), re.M)
        if not found:
            return bounds
        reading = float(found.group(1))
        return narrow(bounds, sent, reading, reading, received)

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        # The report is made here, after the clock is known.
        fail_on_findings = str(arguments.pop("fail_on_findings", False)).lower() in ("true", "yes", "on", "1")
        sent = time.time()
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        received = time.time()
        moments = result.pop("time", None)
        if result.get("failed") or not moments:
            return result
        limit = float(arguments.get("max_skew", 1.0))
        bounds = narrow((float("-inf"), float("inf")), sent, moments["started"], moments["ended"], received)
        samples = 1
        while undecided(bounds, limit) and samples < MAX_SAMPLES:
            bounds = self._sample(bounds)
            samples += 1
        skew, uncertainty = (bounds[0] + bounds[1]) / 2, max(0.0, (bounds[1] - bounds[0]) / 2)
        result["clock"] = {"skew": round(skew, 3), "uncertainty": round(uncertainty, 3), "samples": samples}
        found = _hostcheck.clock_finding(skew, uncertainty, limit)
        if found:
            ignore = arguments.get("ignore") or []
            names = ignore.split(",") if isinstance(ignore, str) else ignore
            result["ignored" if _hostcheck.accepted(found["code"], names) else "findings"].append(found)
        if fail_on_findings and result["findings"]:
            result.update(failed=True, msg=_hostcheck.summary(result["findings"]))
        return result
