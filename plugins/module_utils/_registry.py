# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A client of OCI registries: what is needed to push, with the words an operator needs when it fails."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.hostplane.cluster.plugins.module_utils._oci import digest_of

BLOCK = 1 << 20
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ATTEMPTS = 3
BROKEN = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
HINTS = {
    401: "it refuses user {user!r}: correct mirror_username and mirror_password",
    403: "user {user!r} may not push there, or there is no such project: grant it (Harbor: a robot account with push)",
    404: "no such project, or no registry: create the project, or correct mirror_prefix or mirror_address",
    413: "a proxy in front limits the body (nginx: client_max_body_size 0)",
    429: "it limits requests: run again later, what was pushed is kept",
    500: "see the registry's log and run again, what was pushed is kept",
    507: "the registry is full: raise the project's quota or enlarge its disk",
}


class RegistryError(Exception):
    """Something an operator has to correct."""


class Unreachable(RegistryError):
    """No answer: the registry is not there (yet), or the network is not."""


class Answer(t.NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    data: bytes


def parse_challenge(header: str) -> tuple[str, dict[str, str]]:
    """Split WWW-Authenticate into its scheme, in lower case, and its parameters."""
    scheme, _sep, rest = header.strip().partition(" ")
    return scheme.lower(), dict(re.findall(r'(\w+)="([^"]*)"', rest))


def trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except FileNotFoundError as error:
        raise Unreachable(
            f"there is no CA file {ca_file}: correct mirror_ca_file, or run the mirror playbook"
        ) from error
    except (OSError, ssl.SSLError) as error:
        raise RegistryError(f"the CA file {ca_file} holds no certificate in PEM ({error}): replace it") from error


class Registry:
    """One registry; safe for several threads, each of which keeps its own connection."""

    def __init__(
        self, address: str, username: str = "", password: str = "", ca_file: str | None = None, timeout: float = 120.0
    ) -> None:
        self.address = address
        self.username = username
        self._password = password
        self._context = trust(ca_file)
        self._timeout = timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        self._scheme = ""
        self._bearer: dict[str, str] = {}
        self._tokens: dict[str, str] = {}

    def _connection(self, netloc: str) -> http.client.HTTPSConnection:
        pool: dict[str, http.client.HTTPSConnection] = self._local.__dict__.setdefault("pool", {})
        if netloc not in pool:
            pool[netloc] = http.client.HTTPSConnection(
                netloc, context=self._context, timeout=self._timeout, blocksize=BLOCK
            )
        return pool[netloc]

    def _once(self, method: str, url: str, headers: dict[str, str], body: bytes | None, path: str | None) -> Answer:
        parts = urllib.parse.urlsplit(url)
        connection = self._connection(parts.netloc)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            if path is None:
                connection.request(method, target, body=body, headers=headers)
                complete = True
            else:
                complete = False
                # A registry that refuses the body closes early: its answer says why.
                with open(path, "rb") as stream, contextlib.suppress(*BROKEN):
                    connection.request(method, target, body=stream, headers=headers)
                    complete = True
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
            if not complete:
                connection.close()
            return answer
        except BaseException:
            connection.close()
            raise

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes | None, path: str | None) -> Answer:
        host = urllib.parse.urlsplit(url).netloc
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(method, url, headers, body, path)
            except ssl.SSLCertVerificationError as error:
                raise RegistryError(
                    f"the certificate of {host} is not trusted ({error.verify_message}): check mirror_ca_file, "
                    "and that the certificate is in date and made for this name"
                ) from error
            except socket.gaierror as error:
                raise Unreachable(f"{host} has no address ({error.strerror}): check mirror_address and DNS") from error
            except ConnectionRefusedError as error:
                raise Unreachable(f"{host} refuses connections: check that it runs, and mirror_address") from error
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, ssl.SSLError) and not isinstance(error, BROKEN):
                    raise RegistryError(f"{host} does not speak TLS ({error}): check address and port") from error
                # A kept connection may have been closed meanwhile, so that the first failure says nothing yet.
                if attempt == ATTEMPTS:
                    raise Unreachable(
                        f"{host} does not answer ({error or type(error).__name__}): check network and firewall"
                    ) from error
        raise AssertionError("unreachable code")

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self._password}".encode()).decode()

    def _authorization(self, scopes: tuple[str, ...]) -> str | None:
        if self._scheme == "basic":
            return self._basic() if self.username else None
        if self._scheme != "bearer":
            return None
        key = " ".join(scopes)
        with self._lock:
            if key not in self._tokens:
                self._tokens[key] = self._fetch_token(scopes)
            return "Bearer " + self._tokens[key]

    def _fetch_token(self, scopes: tuple[str, ...]) -> str:
        realm = self._bearer.get("realm", "")
        if not realm.startswith("https://"):
            raise RegistryError(f"{self.address} names {realm!r} for tokens: the password is sent over TLS only")
        query = [("service", self._bearer["service"])] if "service" in self._bearer else []
        query += [("scope", scope) for scope in scopes]
        url = realm + ("&" if "?" in realm else "?") + urllib.parse.urlencode(query)
        answer = self._send("GET", url, {"Authorization": self._basic()} if self.username else {}, None, None)
        if answer.status != 200:
            raise self.problem(answer, "", "token")
        return str(json.loads(answer.data).get("token") or json.loads(answer.data).get("access_token") or "")

    def request(
        self,
        method: str,
        url: str,
        repositories: t.Sequence[str] = (),
        headers: t.Mapping[str, str] | None = None,
        body: bytes | None = None,
        path: str | None = None,
    ) -> Answer:
        """Send a request, with credentials when the registry asks for them (and to nobody else)."""
        target = urllib.parse.urljoin(f"https://{self.address}/", url)
        parts = urllib.parse.urlsplit(target)
        if parts.scheme != "https":
            raise RegistryError(
                f"{self.address} sends uploads to {parts.scheme}://{parts.netloc}: let it know its own https address "
                "(distribution: http.host; Harbor: external_url)"
            )
        scopes = tuple(
            f"repository:{name}:{'pull,push' if not number else 'pull'}" for number, name in enumerate(repositories)
        )
        own = parts.netloc.removesuffix(":443") == self.address.removesuffix(":443")
        answer = Answer(0, http.client.HTTPMessage(), b"")
        for _attempt in range(2):
            sent = {"User-Agent": "hostplane", **(headers or {})}
            authorization = self._authorization(scopes) if own else None
            if authorization:
                sent["Authorization"] = authorization
            answer = self._send(method, target, sent, body, path)
            if answer.status != 401 or not own:
                break
            with self._lock:
                self._scheme, self._bearer = parse_challenge(answer.headers.get("WWW-Authenticate", ""))
                self._tokens.pop(" ".join(scopes), None)
            if self._scheme == "basic" and (authorization or not self.username):
                break
        return answer

    def problem(self, answer: Answer, repository: str, what: str) -> RegistryError:
        """Say what the registry refused and what to do about it."""
        try:
            found = json.loads(answer.data)
            details = "; ".join(f"{e.get('code', '')}: {e.get('message') or ''}".strip(": ") for e in found["errors"])
        except (ValueError, KeyError, TypeError, AttributeError):
            details = answer.data[:200].decode(errors="replace").strip()
        said = f"HTTP {answer.status}" + (f", {details}" if details else "")
        where = f"{self.address}/{repository}" if repository else self.address
        if re.search(r"quota|exceed|no space left|insufficient storage", details, re.I):
            hint = HINTS[507]
        else:
            # After a login, Harbor says 401 for projects that are not there or not for this user.
            status = 403 if answer.status == 401 and repository else min(answer.status, 500)
            hint = HINTS.get(status, "see the registry's log")
        return RegistryError(f"{where}: {what} failed ({said}): {hint.format(user=self.username)}")

    def wait(self, seconds: float) -> None:
        """Return when the registry answers, credentials accepted; complain when it does not in time."""
        end = time.monotonic() + seconds
        while True:
            try:
                answer = self.request("GET", "/v2/")
                if answer.status == 200:
                    return
                if answer.status not in (502, 503, 504):
                    raise self.problem(answer, "", "login")
                problem: RegistryError = self.problem(answer, "", "login")
            except Unreachable as error:
                problem = error
            if time.monotonic() >= end:
                raise problem
            time.sleep(0.2)

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        """Return the digest that the registry has under a tag or digest."""
        url = f"/v2/{repository}/manifests/{reference}"
        accept = {"Accept": ", ".join(MANIFEST_TYPES)}
        answer = self.request("HEAD", url, [repository], accept)
        if answer.status == 200 and not answer.headers.get("Docker-Content-Digest"):
            answer = self.request("GET", url, [repository], accept)
        if answer.status == 200:
            return answer.headers.get("Docker-Content-Digest") or digest_of(answer.data)
        if answer.status == 404:
            return None
        raise self.problem(answer, repository, "reading")

    def has_blob(self, repository: str, digest: str) -> bool:
        answer = self.request("HEAD", f"/v2/{repository}/blobs/{digest}", [repository])
        if answer.status >= 400 and answer.status != 404:
            raise self.problem(answer, repository, "reading")
        return answer.status != 404

    def put_blob(self, repository: str, digest: str, size: int, path: str, mount_from: str | None = None) -> bool:
        """Upload a blob in one piece, or have it taken from another repository; return whether it was sent."""
        start = f"/v2/{repository}/blobs/uploads/"
        repositories = [repository]
        if mount_from:
            start += "?" + urllib.parse.urlencode({"mount": digest, "from": mount_from})
            repositories.append(mount_from)
        for attempt in range(1, ATTEMPTS + 1):
            with contextlib.suppress(Unreachable) if attempt < ATTEMPTS else contextlib.nullcontext():
                answer = self.request("POST", start, repositories, {"Content-Length": "0"})
                if answer.status == 201:
                    return False
                if answer.status != 202:
                    raise self.problem(answer, repository, "upload")
                location = answer.headers["Location"]
                location += ("&" if "?" in location else "?") + urllib.parse.urlencode({"digest": digest})
                headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
                answer = self.request("PUT", location, [repository], headers, path=path)
                if answer.status == 201:
                    return True
                if answer.status < 500 or attempt == ATTEMPTS:
                    raise self.problem(answer, repository, f"upload of {digest}")
        raise AssertionError("unreachable code")

    def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> None:
        headers = {"Content-Type": media_type}
        answer = self.request("PUT", f"/v2/{repository}/manifests/{reference}", [repository], headers, body=data)
        if answer.status not in (201, 202):
            raise self.problem(answer, repository, f"manifest {reference}")
        expected = digest_of(data)
        stored = self.manifest_digest(repository, reference)
        if stored != expected:
            raise RegistryError(
                f"{self.address}/{repository}:{reference} is {stored} after the push instead of {expected}: "
                "somebody else pushes the same tag, or the registry rewrites manifests"
            )
