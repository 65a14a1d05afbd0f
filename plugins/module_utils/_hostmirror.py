# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""Can this host fetch from the mirror? If not, a finding tells which is wrong: network, trust or password."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import typing as t
import urllib.parse

Finding = dict[str, str]
# OpenSSL's verify codes: 9 not yet valid, 10 expired, 62 host name and 64 IP address mismatch.
CERTIFICATE_REMEDY = {
    9: "check the host's clock; the certificate is not valid yet",
    10: "renew the mirror's certificate",
    62: "use one of the certificate's names in mirror_address, or issue a certificate for this one",
    64: "use one of the certificate's names in mirror_address, or issue a certificate for this address",
}


def _get(url: str, context: ssl.SSLContext, authorization: str, timeout: float) -> tuple[int, str]:
    """Status and WWW-Authenticate of a GET; proxies are not used because containerd's mirror is inside."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(parts.netloc, context=context, timeout=timeout)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        response = connection.getresponse()
        return response.status, response.getheader("WWW-Authenticate", "")
    finally:
        connection.close()


def _token_url(challenge: str) -> str:
    """Where a registry with token authentication (Harbor, GitLab) wants the password; empty for other ones."""
    if not challenge.lower().startswith("bearer "):
        return ""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not fields.get("realm", "").startswith("https://"):
        return ""
    return f"{fields['realm']}?{urllib.parse.urlencode({'service': fields.get('service', '')})}"


def probe(mirror: dict[str, t.Any], timeout: float = 3.0) -> list[Finding]:
    """Findings about mirror {address, username, password, ca}; ca is PEM text, empty for the system's trust."""
    address = mirror["address"]

    def found(code: str, message: str, remedy: str) -> list[Finding]:
        return [{"code": code, "message": f"mirror {address}: {message}", "remedy": remedy}]

    context = ssl.create_default_context()
    if mirror.get("ca"):
        try:
            context = ssl.create_default_context(cadata=mirror["ca"])
        except (ssl.SSLError, ValueError) as error:
            return found(
                "MirrorCertificate",
                f"the CA is not a PEM certificate: {error}",
                "correct the file named by mirror_ca_file",
            )
    authorization = ""
    if mirror.get("username"):
        secret = f"{mirror['username']}:{mirror.get('password') or ''}".encode()
        authorization = f"Basic {base64.b64encode(secret).decode()}"
    try:
        status, challenge = _get(f"https://{address}/v2/", context, authorization, timeout)
        if status == 401 and authorization and _token_url(challenge):
            status, challenge = _get(_token_url(challenge), context, authorization, timeout)
    except ssl.SSLCertVerificationError as error:
        remedy = CERTIFICATE_REMEDY.get(
            error.verify_code, "set mirror_ca_file to the CA that signed the mirror's certificate"
        )
        return found("MirrorCertificate", f"its certificate is not trusted: {error.verify_message}", remedy)
    except ssl.SSLError as error:
        return found(
            "MirrorUnreachable",
            f"no TLS there: {error.reason or error}",
            "mirror_address must be the registry's HTTPS port",
        )
    except socket.gaierror as error:
        return found(
            "MirrorUnreachable",
            f"its name does not resolve here: {error.strerror}",
            "correct mirror_address, DNS or /etc/hosts",
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        slow = isinstance(error, socket.timeout)
        reason = "no answer in time" if slow else getattr(error, "strerror", "") or str(error)
        return found(
            "MirrorUnreachable",
            reason,
            "start the mirror (playbook hostplane.cluster.mirror), check the route and firewalls",
        )
    if status in (401, 403):
        who = f"user {mirror['username']} is refused" if authorization else "it asks for a password"
        return found("MirrorAuth", f"{who} (HTTP {status})", "correct mirror_username and mirror_password")
    if status != 200:
        return found("MirrorUnreachable", f"/v2/ answers HTTP {status}", "mirror_address must name an OCI registry")
    return []
