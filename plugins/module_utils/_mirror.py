# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Reading from the mirror with nothing but Python's standard library, since it runs on hosts that have nothing else."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

MIRROR_SPEC: dict[str, Any] = {
    "type": "dict",
    "options": {
        "address": {"type": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "username": {"type": "str", "default": ""},
        "password": {"type": "str", "default": "", "no_log": True},
        "ca": {"type": "str", "default": ""},
    },
}
MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
IMAGE_TYPES = (
    f"{MANIFEST_TYPES}, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)


class MirrorError(Exception):
    """The mirror can't be used; the message says why and what to do."""


class _SameHostAuth(urllib.request.HTTPRedirectHandler):
    """Follow redirects (Harbor sends blobs from object storage), but never carry credentials to another host."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        target = urllib.parse.urlsplit(newurl)
        if target.scheme != "https":
            raise MirrorError(f"{req.full_url} redirects to {target.scheme}://{target.netloc}, which is not https")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and target.netloc != urllib.parse.urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        return new


class Mirror:
    """One registry: address (host:port), prefix, credentials and trust."""

    def __init__(self, address: str, prefix: str, username: str, password: str, ca: str, timeout: int) -> None:
        self.address, self.prefix, self.timeout = address, prefix, timeout
        basic = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._basic = f"Basic {basic}" if username else ""
        self._authorization = self._basic
        try:
            context = ssl.create_default_context(cadata=ca or None)
        except (ssl.SSLError, ValueError) as exc:
            raise MirrorError(f"the mirror's CA is not readable as PEM: {exc}") from exc
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _SameHostAuth()
        )

    @classmethod
    def from_options(cls, options: dict[str, Any], timeout: int) -> Mirror:
        """Make it from the module option C(mirror); timeout in seconds."""
        return cls(
            options["address"], options["prefix"], options["username"], options["password"], options["ca"], timeout
        )

    def has_manifest(self, repository: str, reference: str) -> bool:
        """Whether the mirror has an image; that it is not there is no error."""
        try:
            self._get(f"{repository}/manifests/{reference}", MANIFEST_TYPES).close()
        except MirrorError as exc:
            cause = exc.__cause__
            if isinstance(cause, urllib.error.HTTPError) and cause.code == 404:
                return False
            raise
        return True

    def open_blob(self, repository: str, digest: str) -> Any:
        """A readable stream of one blob; the caller verifies the digest."""
        return self._get(f"{repository}/blobs/{digest}", "application/octet-stream")

    def holds_blob(self, repository: str, digest: str) -> bool:
        """Whether a blob is there, without fetching it."""
        try:
            with self._get(f"{repository}/blobs/{digest}", "application/octet-stream", "HEAD"):
                return True
        except MirrorError as exc:
            if isinstance(exc.__cause__, urllib.error.HTTPError) and exc.__cause__.code == 404:
                return False
            raise

    def read_manifest(self, repository: str, digest: str) -> dict[str, Any] | None:
        """An image's manifest; None when it is not there."""
        try:
            with self._get(f"{repository}/manifests/{digest}", IMAGE_TYPES) as answer:
                return dict(json.load(answer))
        except MirrorError as exc:
            if isinstance(exc.__cause__, urllib.error.HTTPError) and exc.__cause__.code == 404:
                return None
            raise
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise MirrorError(f"{self.address}/{self.prefix}{repository}@{digest} can't be read: {exc}") from exc

    def read_artifact(self, repository: str, tag: str) -> bytes:
        """The single layer of a small artifact such as the lock, verified."""
        name = f"{self.address}/{self.prefix}{repository}:{tag}"
        try:
            with self._get(f"{repository}/manifests/{tag}", MANIFEST_TYPES) as answer:
                digest = str(json.load(answer)["layers"][0]["digest"])
            with self.open_blob(repository, digest) as answer:
                data = bytes(answer.read())
        except (OSError, http.client.HTTPException) as exc:
            raise MirrorError(self._reason(name, exc)) from exc
        except (ValueError, KeyError, IndexError, TypeError) as exc:
            raise MirrorError(f"{name} is not an artifact of this collection; run the mirror playbook") from exc
        if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise MirrorError(f"{name} is damaged: its layer is not {digest}; run the mirror playbook")
        return data

    def _get(self, path: str, accept: str, method: str = "GET") -> Any:
        url = f"https://{self.address}/v2/{self.prefix}{path}"
        try:
            return self._open(url, accept, self._authorization, method)
        except urllib.error.HTTPError as exc:
            challenge = exc.headers.get("WWW-Authenticate", "")
            if exc.code == 401 and challenge.lower().startswith("bearer "):
                self._authorization = f"Bearer {self._token(challenge)}"
                try:
                    return self._open(url, accept, self._authorization, method)
                except (OSError, http.client.HTTPException) as again:
                    raise MirrorError(self._reason(url, again)) from again
            raise MirrorError(self._reason(url, exc)) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise MirrorError(self._reason(url, exc)) from exc

    def _open(self, url: str, accept: str, authorization: str, method: str = "GET") -> Any:
        headers = {"Accept": accept, **({"Authorization": authorization} if authorization else {})}
        return self._opener.open(urllib.request.Request(url, headers=headers, method=method), timeout=self.timeout)

    def _token(self, challenge: str) -> str:
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
        realm = fields.get("realm", "")
        if not realm.startswith("https://"):
            raise MirrorError(f"mirror {self.address} asks for a token from {realm!r}, which is not https")
        try:
            with self._open(f"{realm}?{query}", "application/json", self._basic) as answer:
                body = json.load(answer)
            return str(body.get("token") or body.get("access_token") or "")
        except (OSError, http.client.HTTPException) as exc:
            raise MirrorError(self._reason(realm, exc)) from exc
        except (ValueError, AttributeError) as exc:
            raise MirrorError(f"{realm} did not answer with a token") from exc

    def _reason(self, url: str, exc: Exception) -> str:
        if isinstance(exc, urllib.error.HTTPError):
            hint = {
                401: "the user name or password is wrong (mirror_username, mirror_password)",
                403: "the user may not read this repository",
                404: "it is not there: run the mirror playbook for this release",
            }.get(exc.code, exc.reason)
            return f"{url} answered {exc.code}: {hint}"
        reason = getattr(exc, "reason", exc)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return f"the certificate of mirror {self.address} is not trusted: {reason.verify_message} (mirror_ca_file)"
        return f"mirror {self.address} can't be reached: {reason}"
