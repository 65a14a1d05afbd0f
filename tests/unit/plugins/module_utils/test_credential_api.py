# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The corners of making credentials that a whole run does not reach; the rest is tested with the module kubeconfig."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _credential_api
from ansible_collections.hostplane.cluster.plugins.module_utils._credential import binding_object, subject_of
from ansible_collections.hostplane.cluster.plugins.module_utils._credential_file import KubeconfigError
from ansible_collections.hostplane.cluster.plugins.module_utils._rbac import Grant, Role

exceptions = pytest.importorskip("kubernetes.client.exceptions")
GRANT = Grant(subject_of("certificate", "alice-1"), Role("ClusterRole", "view"), "shop")


class Api:
    """Answers by method and path; what is asked is kept."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def call(self, method: str, path: str, **_kwargs: Any) -> Any:
        self.asked.append(f"{method} {path.rpartition('/')[2]}")
        answer = self.answers.get(self.asked[-1], {})
        if isinstance(answer, int):
            raise exceptions.ApiException(status=answer, reason="no")
        return answer

    def create(self, path: str, body: dict[str, Any]) -> bool:
        self.asked.append(f"CREATE {path.rpartition('/')[2]}")
        return bool(self.answers.get(self.asked[-1], True))


def bind(api: Any) -> None:
    _credential_api.bind(api, "alice-1", [GRANT], [], _credential_api.Cluster())


def test_a_signer_that_does_not_sign_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_credential_api, "SIGN_SECONDS", 0)
    api: Any = Api({})
    with pytest.raises(KubeconfigError, match="kube-controller-manager"):
        _credential_api.sign(api, "alice-1", b"", timedelta(days=1))
    assert api.asked == ["POST certificatesigningrequests", "PUT approval"]


def test_a_binding_of_somebody_else_is_not_replaced() -> None:
    api: Any = Api({"CREATE rolebindings": False, f"GET {GRANT.name}": {"metadata": {"labels": {}}}})
    with pytest.raises(KubeconfigError, match="in the way"):
        bind(api)
    assert not any(text.startswith("DELETE") for text in api.asked)


def test_a_binding_that_was_changed_is_made_anew() -> None:
    own = binding_object(GRANT, "alice-1")
    api: Any = Api({"CREATE rolebindings": False, f"GET {GRANT.name}": own})
    bind(api)
    assert api.asked[-2:] == [f"DELETE {GRANT.name}", "CREATE rolebindings"]


def test_what_is_gone_already_needs_no_deleting_and_other_errors_are_errors() -> None:
    item = _credential_api.Credential("alice-1")
    _credential_api.forget(Api({"DELETE alice-1": 404, "DELETE hostplane-alice-1": 404}), item)  # type: ignore[arg-type]
    with pytest.raises(exceptions.ApiException):
        _credential_api.forget(Api({"DELETE alice-1": 403}), item)  # type: ignore[arg-type]
    with pytest.raises(exceptions.ApiException):
        _credential_api.has_role(Api({"GET reader": 500}), "shop", "reader")  # type: ignore[arg-type]
    assert not _credential_api.has_role(Api({"GET reader": 404}), "shop", "reader")  # type: ignore[arg-type]
