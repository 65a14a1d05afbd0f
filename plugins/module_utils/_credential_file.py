# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A user's kubeconfig and what is in it: made, read, and asked whom the API server takes its bearer for."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import ssl
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _credential

try:
    import urllib3
    import yaml
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    IMPORT_ERROR = ""
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

EXTENSION = "hostplane.io/credential"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REQUEST_SECONDS = 15


class KubeconfigError(Exception):
    """A kubeconfig can't be read, made or written; the message says why."""


@dataclass(frozen=True)
class UserFile:
    """A kubeconfig that was written here. secret is the private key (PEM) or the token."""

    id: str
    user: str
    kind: str
    cluster: dict[str, Any]
    cluster_name: str = ""
    namespace: str = ""
    certificate: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    def render(self) -> bytes:
        """The file's text."""
        context = f"{self.user}@{self.cluster_name}"
        bearer = {"token": self.secret}
        if self.kind == _credential.CERTIFICATE:
            bearer = {"client-certificate-data": _b64(self.certificate), "client-key-data": _b64(self.secret)}
        mark = {"name": EXTENSION, "extension": {"id": self.id, "kind": self.kind, "user": self.user}}
        inside = {"cluster": self.cluster_name, "user": self.id, "extensions": [mark]}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster_name, "cluster": self.cluster}],
            "contexts": [
                {"name": context, "context": {**inside, **({"namespace": self.namespace} if self.namespace else {})}}
            ],
            "current-context": context,
            "preferences": {},
            "users": [{"name": self.id, "user": bearer}],
        }
        return yaml.safe_dump(config, default_flow_style=False, sort_keys=True).encode()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as handle:
            data = yaml.safe_load(handle)
    # The parser's own message would quote the line, which may be the key.
    except (yaml.YAMLError, UnicodeDecodeError):
        raise KubeconfigError(f"{path} is no kubeconfig: it is not YAML") from None
    if not isinstance(data, dict) or data.get("kind", "Config") != "Config":
        raise KubeconfigError(f"{path} is no kubeconfig")
    return data


def _current(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The current context with its cluster and user."""
    context = _named(data, "contexts", "context", str(data.get("current-context") or ""))
    cluster = _named(data, "clusters", "cluster", str(context.get("cluster") or ""))
    return context, cluster, _named(data, "users", "user", str(context.get("user") or ""))


def _named(data: dict[str, Any], kind: str, key: str, name: str) -> dict[str, Any]:
    for entry in data.get(kind) or []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
            return dict(entry[key])
    return {}


def read_cluster(path: str, server: str = "") -> tuple[str, dict[str, Any]]:
    """Name and connection of the cluster out of an administrator's kubeconfig; another server can be given.

    Raises KubeconfigError.
    """
    data = _load(path)
    context, cluster, _user = _current(data)
    if not cluster.get("server"):
        raise KubeconfigError(f"{path} has no cluster in its current context")
    authority = cluster.pop("certificate-authority", "")
    if authority and not cluster.get("certificate-authority-data"):
        with open(os.path.join(os.path.dirname(os.path.abspath(path)), authority), "rb") as handle:
            cluster["certificate-authority-data"] = base64.b64encode(handle.read()).decode()
    cluster.pop("extensions", None)
    return str(context.get("cluster") or "kubernetes"), {**cluster, **({"server": server} if server else {})}


def read_file(path: str) -> UserFile | None:
    """The kubeconfig that was written there before; None when there is none.

    Raises KubeconfigError when something else is there.
    """
    try:
        data = _load(path)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise KubeconfigError(f"{path}: {exc.strerror}") from exc
    context, cluster, user = _current(data)
    marks = [item.get("extension") for item in context.get("extensions") or [] if item.get("name") == EXTENSION]
    if not marks or not isinstance(marks[0], dict) or not marks[0].get("id"):
        raise KubeconfigError(
            f"{path} is there and was not written by this module; choose another path or move it away"
        )
    try:
        certificate = base64.b64decode(user.get("client-certificate-data") or "").decode()
        key = base64.b64decode(user.get("client-key-data") or "").decode()
    except ValueError:
        certificate = key = ""
    mark = marks[0]
    return UserFile(
        id=str(mark["id"]),
        user=str(mark.get("user") or ""),
        kind=str(mark.get("kind") or ""),
        cluster=cluster,
        cluster_name=str(context.get("cluster") or ""),
        namespace=str(context.get("namespace") or ""),
        certificate=certificate,
        secret=str(user.get("token") or "") if mark.get("kind") == _credential.TOKEN else key,
    )


def new_key(username: str) -> tuple[str, bytes]:
    """A private key (PEM), and the request (PEM) for a certificate in that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, username)]))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), request.public_bytes(serialization.Encoding.PEM)


def describe(kind: str, certificate: str, token: str) -> dict[str, str]:
    """Serial, fingerprint and validity of a certificate (PEM) or token.

    Raises KubeconfigError when it can't be read.
    """
    try:
        if kind == _credential.TOKEN:
            body = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            start, end = (datetime.fromtimestamp(claims[name], timezone.utc) for name in ("iat", "exp"))
            return _facts(str(claims.get("jti") or claims["iat"]), "", str(claims["iss"]), start, end)
        found = x509.load_pem_x509_certificate(certificate.encode())
        issuer = f"{_credential.SIGNER} ({found.issuer.rfc4514_string()})"
        start = found.not_valid_before_utc if hasattr(found, "not_valid_before_utc") else _utc(found.not_valid_before)
        end = found.not_valid_after_utc if hasattr(found, "not_valid_after_utc") else _utc(found.not_valid_after)
        return _facts(f"{found.serial_number:x}", found.fingerprint(hashes.SHA256()).hex(), issuer, start, end)
    except (ValueError, KeyError, IndexError, TypeError):
        # Without the cause: its text may quote the token.
        raise KubeconfigError(f"the {kind} can't be read") from None


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=timezone.utc)


def _facts(serial: str, fingerprint: str, signer: str, start: datetime, end: datetime) -> dict[str, str]:
    return {
        "serial": serial,
        "fingerprint": fingerprint,
        "signer": signer,
        "not_before": _credential.to_text(start),
        "not_after": _credential.to_text(end),
    }


@contextlib.contextmanager
def _brief_file(text: str) -> Iterator[str]:
    """A file for a library that takes a key only as a file: in memory where the system can, else gone at once."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("kubeconfig")
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp()
    try:
        os.write(descriptor, text.encode())
        yield path
    finally:
        os.close(descriptor)
        if not path.startswith("/proc/"):
            os.unlink(path)


def who_am_i(file: UserFile) -> str:
    """The name under which the API server knows the file's bearer; empty when it refuses it.

    Raises KubeconfigError when there is no answer.
    """
    try:
        context = ssl.create_default_context(
            cadata=base64.b64decode(file.cluster.get("certificate-authority-data") or "").decode() or None
        )
        headers = {"Content-Type": "application/json"}
        if file.kind == _credential.TOKEN:
            headers["Authorization"] = f"Bearer {file.secret}"
        else:
            with _brief_file(f"{file.certificate}\n{file.secret}") as path:
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError):
        # No pair, or no certificate at all.
        return ""
    name = file.cluster.get("tls-server-name")
    options: dict[str, Any] = {
        "ssl_context": context,
        **({"server_hostname": name, "assert_hostname": name} if name else {}),
    }
    proxy = file.cluster.get("proxy-url")
    pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
    url = str(file.cluster.get("server") or "").rstrip("/") + REVIEWS
    try:
        answer = pool.request("POST", url, body=body, headers=headers, timeout=REQUEST_SECONDS, retries=1)
    except urllib3.exceptions.HTTPError as exc:
        raise KubeconfigError(f"{file.cluster.get('server')} does not answer: {exc}") from exc
    if answer.status == 401:
        return ""
    if answer.status not in (200, 201):
        raise KubeconfigError(f"{file.cluster.get('server')} answers with status {answer.status}")
    return str(json.loads(answer.data)["status"]["userInfo"]["username"])
