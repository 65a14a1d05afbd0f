# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Whose tokens an API server accepts: what can be said of the settings without asking it, and what it says afterwards.

What is checked here would otherwise be found by the API server after the file was replaced, or let strangers in.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.hostplane.cluster.plugins.module_utils._problem import Problem

API_VERSION = "apiserver.config.k8s.io/v1"
CODE = "jwt_authenticator"
PATH = "cluster_jwt_authenticators"
KEYS = {"issuer", "claimValidationRules", "claimMappings", "userValidationRules"}
ISSUER_KEYS = {"url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy", "egressSelectorType"}
MAPPING_KEYS = {"username", "groups", "uid", "extra"}
MOST = 64
METRIC = re.compile(
    r"^apiserver_authentication_config_controller_(last_config_info|automatic_reloads_total)\{([^}]*)\} (\S+)", re.M
)
# What the container runtime puts before every line.
CRI = re.compile(r"^\S+ (?:stdout|stderr) [FP] ", re.M)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def render(jwt: Sequence[Mapping[str, Any]]) -> str:
    """The file's text, the same for the same settings."""
    config = {"apiVersion": API_VERSION, "kind": "AuthenticationConfiguration", "jwt": list(jwt)}
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


def _url_faults(name: str, url: Any) -> Iterator[str]:
    if not isinstance(url, str) or not url:
        yield f"{name} is missing"
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as exc:
        yield f"{name} {url!r} is no URL: {exc}"
        return
    if parts.scheme != "https" or not host:
        yield f"{name} {url!r} is no https URL"
    if parts.username or parts.password or parts.query or parts.fragment:
        yield f"{name} {url!r} has a user, a query or a fragment, which the API server refuses"


def _unknown(name: str, given: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for key in sorted(set(given) - known):
        yield f"{name} has the unknown key {key!r}; there are {', '.join(sorted(known))}"


def _issuer_faults(issuer: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown("issuer", issuer, ISSUER_KEYS)
    yield from _url_faults("issuer.url", issuer.get("url"))
    discovery = issuer.get("discoveryURL")
    if discovery:
        yield from _url_faults("issuer.discoveryURL", discovery)
        if str(discovery).rstrip("/") == str(issuer.get("url") or "").rstrip("/"):
            yield "issuer.discoveryURL must differ from issuer.url"
    audiences = issuer.get("audiences") or []
    if (
        not isinstance(audiences, list)
        or not audiences
        or not all(isinstance(item, str) and item for item in audiences)
    ):
        yield "issuer.audiences must be a list of at least one client ID"
    elif len(set(audiences)) != len(audiences):
        yield "issuer.audiences names one twice"
    elif len(audiences) > 1 and issuer.get("audienceMatchPolicy") != "MatchAny":
        yield "issuer.audienceMatchPolicy must be MatchAny when there are several audiences"
    authority = issuer.get("certificateAuthority")
    if authority:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=str(authority))
        except (ssl.SSLError, ValueError):
            yield "issuer.certificateAuthority holds no certificate in PEM form"


def _mapping_faults(mappings: Mapping[str, Any], guarded: bool) -> Iterator[str]:
    yield from _unknown("claimMappings", mappings, MAPPING_KEYS)
    for name in ("username", "groups"):
        mapping = mappings.get(name) or {}
        if not isinstance(mapping, Mapping):
            yield f"claimMappings.{name} must be a dictionary"
            continue
        claim, expression = mapping.get("claim"), mapping.get("expression")
        if claim and expression:
            yield f"claimMappings.{name} has both claim and expression"
        elif not claim and not expression and (name == "username" or mapping):
            yield f"claimMappings.{name} needs claim or expression"
        elif claim and mapping.get("prefix") is None:
            yield f"claimMappings.{name} needs a prefix (empty for none) with claim"
        elif claim and str(mapping["prefix"]).startswith("system:"):
            yield f"claimMappings.{name}.prefix {mapping['prefix']!r} makes names that Kubernetes keeps for itself"
        elif claim and not mapping["prefix"] and not guarded:
            who = "named system:kube-controller-manager" if name == "username" else "in the group system:masters"
            yield (
                f"claimMappings.{name}.prefix is empty: a token could say that its owner is {who}; "
                "give a prefix, or userValidationRules that refuse system:"
            )


def find_problems(jwt: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """All that is wrong with the issuers; CEL expressions are left to the API server."""
    problems = []
    remedy = f"Correct it in {PATH}; docs/access.md has an example."

    def add(index: int, message: str) -> None:
        url = (jwt[index].get("issuer") or {}).get("url") if isinstance(jwt[index].get("issuer"), Mapping) else ""
        problems.append(
            Problem(CODE, f"issuer {index + 1} ({url or 'without URL'}): {message}", remedy, path=f"{PATH}[{index}]")
        )

    seen: set[str] = set()
    for index, entry in enumerate(jwt):
        issuer, mappings = entry.get("issuer") or {}, entry.get("claimMappings") or {}
        if not isinstance(issuer, Mapping) or not isinstance(mappings, Mapping):
            add(index, "issuer and claimMappings must be dictionaries")
            continue
        for message in _unknown("it", entry, KEYS):
            add(index, message)
        for message in _issuer_faults(issuer):
            add(index, message)
        for message in _mapping_faults(mappings, bool(entry.get("userValidationRules"))):
            add(index, message)
        if issuer.get("url") in seen:
            add(index, "another entry has the same URL")
        seen.add(str(issuer.get("url") or index))
    if len(jwt) > MOST:
        problems.append(Problem(CODE, f"there are {len(jwt)} issuers; the API server takes {MOST}", remedy, path=PATH))
    return problems


def digest(text: str) -> str:
    """A file's text as the API server's metrics name it."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def read_metrics(text: str) -> tuple[str, int]:
    """The digest of the configuration that the API server uses, and how often it could not load one."""
    loaded, failures = "", 0
    for name, labels, value in METRIC.findall(text):
        found = dict(LABEL.findall(labels))
        if name == "last_config_info":
            loaded = found.get("hash", "")
        elif found.get("status") == "failure":
            failures += int(float(value))
    return loaded, failures


def read_reason(log: str) -> str:
    """Why the API server could not load the configuration, out of the end of its log; empty when it does not say."""
    text = CRI.sub("", log)
    found = re.findall(
        r'"failed to \w+ authentication config(?: file)?" err=(?:"((?:[^"\\]|\\.)*)"|<\n(.*?)\n >)', text, re.S
    )
    if not found:
        return ""
    quoted, lines = found[-1]
    return quoted.replace("\\\\", "\\").replace('\\"', '"') or " ".join(lines.split())
