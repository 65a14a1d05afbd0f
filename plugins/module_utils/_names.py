# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The syntax that Kubernetes and registries demand of names, as predicates."""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_CLUSTER = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?")
_REPOSITORY = re.compile(r"([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*/)*")
_ALL_DIGITS = re.compile(r"[0-9.]+")

TAINT_EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")


def is_dns_name(text: str, longest: int = 253) -> bool:
    """RFC 1123 as Kubernetes reads it: lower-case labels of at most 63 characters, separated by dots."""
    return 0 < len(text) <= longest and all(len(part) <= 63 and _LABEL.fullmatch(part) for part in text.split("."))


def is_node_name(text: str) -> bool:
    """A node's name is also the value of its label kubernetes.io/hostname, hence 63 characters in all."""
    return is_dns_name(text, 63)


def is_cluster_name(text: str) -> bool:
    return len(text) <= 63 and bool(_CLUSTER.fullmatch(text))


def is_label_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return len(name) <= 63 and bool(_NAME.fullmatch(name)) and (not slash or is_dns_name(prefix))


def is_label_value(text: str) -> bool:
    return text == "" or (len(text) <= 63 and bool(_NAME.fullmatch(text)))


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """An IPv4 address or a DNS name; 10.0.0.300 is neither."""
    if _ALL_DIGITS.fullmatch(text):
        return is_ip(text)
    return is_dns_name(text)


def is_san(text: str) -> bool:
    """What a certificate can be made for: an address, a name, or a wildcard for one level of names."""
    return is_ip(text) or is_host(text[2:] if text.startswith("*.") else text)


def split_host_port(text: str) -> tuple[str, int]:
    """Split host:port; a missing port is 0. Raises ValueError, worded for the operator, when it is neither."""
    if "://" in text:
        raise ValueError("it must not contain a scheme such as https://")
    if "/" in text:
        raise ValueError("it must not contain a path")
    if text.count(":") > 1:
        raise ValueError("IPv6 addresses are not supported")
    host, colon, port = text.partition(":")
    if not is_host(host):
        raise ValueError(f"'{host}' is neither an IPv4 address nor a lower-case DNS name")
    if colon and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"'{port}' is not a port from 1 to 65535")
    return host, int(port) if colon else 0


def is_repository_prefix(text: str) -> bool:
    """The path before a repository: empty, or components as OCI registries take them, with a slash."""
    return bool(_REPOSITORY.fullmatch(text))
