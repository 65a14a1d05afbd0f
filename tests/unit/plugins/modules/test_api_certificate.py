# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module around the names of the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca_api
from ansible_collections.hostplane.cluster.plugins.modules import api_certificate

OPTIONS = {"configuration": {"apiVersion": "v1"}, "node_name": "cp1", "address": "10.0.0.11"}
Run = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("after", [("DNS:a",), ("DNS:a", "DNS:b")], ids=str)
def test_a_change_is_a_difference_of_names(run_module: Run, monkeypatch: pytest.MonkeyPatch, after: tuple[str]) -> None:
    names = _ca_api.Names(("DNS:a",), after)
    monkeypatch.setattr(_ca_api, "update", lambda *arguments: names)
    result = run_module(api_certificate, diff=True, **OPTIONS)
    assert result["changed"] is (len(after) > 1)
    assert ("diff" in result) is result["changed"]


def test_nothing_is_uploaded_in_check_mode(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(_ca_api, "upload", lambda *arguments: sent.append(arguments))
    assert run_module(api_certificate, check=True, upload=True, **OPTIONS)["changed"] and not sent
    assert run_module(api_certificate, upload=True, **OPTIONS)["changed"] and len(sent) == 1


def test_a_failure_is_told(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*dummy: Any) -> None:
        raise _ca_api.ApiNamesError("put back")

    monkeypatch.setattr(_ca_api, "update", fail)
    assert run_module(api_certificate, **OPTIONS)["msg"] == "put back"
