# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that looks at the CAs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _ca_state, _x509
from ansible_collections.hostplane.cluster.plugins.modules import certificate_authority_info

Run = Callable[..., dict[str, Any]]


def test_it_returns_what_it_sees(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ca_state, "look", lambda: {"control_plane": False, "authorities": {"cluster": {}}})
    result = run_module(certificate_authority_info)
    assert result["authorities"] == {"cluster": {}} and result["changed"] is False


def test_without_openssl_it_tells_so(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise _x509.X509Error("the openssl command is missing")

    monkeypatch.setattr(_ca_state, "look", fail)
    assert "openssl command is missing" in run_module(certificate_authority_info)["msg"]
