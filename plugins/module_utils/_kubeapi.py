# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The cluster's API as plain JSON, for modules on the controller that need a few known paths and no discovery."""

from __future__ import annotations

import json
import time
import traceback
from typing import Any, Callable

try:
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
    from kubernetes.dynamic import DynamicClient
    from urllib3.exceptions import HTTPError
    from urllib3.util import Retry

    IMPORT_ERROR = ""
    API_ERRORS: tuple[type[BaseException], ...] = (ApiException, HTTPError, OSError)
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
    API_ERRORS = (OSError,)

CONNECT_SECONDS, ANSWER_SECONDS = 5, 15
# For 7 seconds, in which the API's address moves to another control plane.
CONNECT_RETRIES = 5
# Only questions are asked again when no answer comes, which a balancer whose API server just ended can cause too.
READ_RETRIES = 2
MERGE_PATCH = "application/merge-patch+json"


class KubeApiError(Exception):
    """The API can't be used; the message says why."""


class KubeApi:
    """An administrator's access to one cluster."""

    def __init__(self, kubeconfig: str) -> None:
        settings = client.Configuration()
        settings.retries = Retry(
            total=CONNECT_RETRIES,
            connect=CONNECT_RETRIES,
            read=READ_RETRIES,
            status=0,
            other=0,
            allowed_methods=["GET"],
            backoff_factor=0.25,
        )
        try:
            found = config.new_client_from_config(kubeconfig, client_configuration=settings)
        except (config.ConfigException, OSError) as exc:
            raise KubeApiError(f"{kubeconfig} can't be used: {exc}") from exc
        # Without discovery: every path is known, and asking for it would cost more than the calls themselves.
        self._client = DynamicClient(found, discoverer=lambda *dummy: None)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """One request; the answer as JSON.

        Raises one of API_ERRORS.
        """
        answer = self._client.request(
            method,
            path,
            body=body,
            query_params=query or [],
            content_type=content_type,
            serialize=False,
            _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
        )
        return json.loads(answer.data)

    def items(self, path: str) -> list[dict[str, Any]]:
        """The objects of a collection."""
        return list(self.call("GET", path)["items"])

    def pages(self, path: str, query: list[tuple[str, str]] | None = None, limit: int = 500) -> list[dict[str, Any]]:
        """The objects of a collection that may be large, read in parts; an expired part begins the list anew."""
        for final in (False, True):
            found, following = [], ""
            try:
                while True:
                    more = [("continue", following)] if following else []
                    answer = self.call("GET", path, query=[*(query or []), ("limit", str(limit)), *more])
                    found += answer["items"]
                    following = answer.get("metadata", {}).get("continue") or ""
                    if not following:
                        return found
            except ApiException as exc:
                if exc.status != 410 or final:
                    raise
        raise AssertionError("unreachable code")

    def create(self, path: str, body: dict[str, Any]) -> bool:
        """Create an object; False when one of that name is there already."""
        try:
            self.call("POST", path, body=body)
        except ApiException as exc:
            if exc.status != 409:
                raise
            return False
        return True

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Merge a change into an object."""
        self.call("PATCH", path, body=body, content_type=MERGE_PATCH)


def find(api: KubeApi, path: str) -> Any:
    """An object; None when it is not there. Raises one of API_ERRORS."""
    try:
        return api.call("GET", path)
    except API_ERRORS as exc:
        if status_of(exc) != 404:
            raise
        return None


class Incomplete(KubeApiError):
    """The deadline passed; the message lists everything that was still missing."""


def wait(deadline: float, introduction: str, missing: Callable[[], list[str]], pause: float = 0.4) -> None:
    """Ask again until nothing is missing. An API that doesn't answer (yet) counts as missing.

    deadline is a monotonic time, pause is in seconds. Raises Incomplete.
    """
    while True:
        try:
            lines = missing()
        except API_ERRORS as exc:
            lines = [f"the API does not answer: {reason_of(exc)}"]
        if not lines:
            return
        if time.monotonic() > deadline:
            raise Incomplete(f"{introduction}:\n" + "\n".join(lines))
        time.sleep(pause)


def status_of(exc: BaseException) -> int:
    """The HTTP status of an error of the API; 0 when there was no answer."""
    return int(getattr(exc, "status", 0) or 0)


def reason_of(exc: BaseException) -> str:
    """The shortest useful text of an error of the API."""
    body = getattr(exc, "body", None)
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        return str(json.loads(body)["message"]) if body else str(getattr(exc, "reason", None) or exc)
    except (ValueError, KeyError, TypeError):
        return str(body)
