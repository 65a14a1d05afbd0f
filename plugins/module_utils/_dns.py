# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""One question to one DNS server, and what its silence or its answer means.

Hand-written: dnspython is not on the hosts, and the resolver of the system would ask other servers, retry and cache.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time
import typing as t

TYPES = {"A": 1, "AAAA": 28}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
# Outcome of a question to its cause and what to do.
CAUSES = {
    "TIMEOUT": (
        "nothing came back: the server does not run, the way to it is broken, or a firewall drops port 53",
        "Look at the pods of cluster DNS and of the pod network on that node, and open port 53 for UDP and TCP.",
    ),
    "CLOSED": (
        "nothing listens there",
        "See why the pod does not run: kubectl -n kube-system describe pods -l app.kubernetes.io/name=dns-cache.",
    ),
    "SERVFAIL": (
        "the server got no answer from the one that it asks itself",
        "See the log of CoreDNS (kubectl -n kube-system logs -l k8s-app=kube-dns) and check upstream and stub_domains.",
    ),
    "NXDOMAIN": (
        "the server says that there is no such name",
        "Check the name and cluster_dns_domain; if both are right, CoreDNS does not see the API.",
    ),
    "REFUSED": (
        "the server answers for other domains or other clients only",
        "Check the servers in upstream and stub_domains.",
    ),
}  # fmt: skip
OTHER = ("the answer is not what was asked for", "See the log of CoreDNS.")


class DnsError(ValueError):
    """An answer that is none."""


class Answer(t.NamedTuple):
    """code is a DNS code, TIMEOUT, CLOSED or UNREACHABLE; addresses only with NOERROR."""

    code: str
    addresses: tuple[str, ...] = ()
    ms: float = 0.0


def question(name: str, kind: str, number: int) -> bytes:
    """The packet that asks for a name."""
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    if any(not 0 < len(label) < 64 for label in labels):
        raise DnsError(f"{name!r} is not a name")
    packed = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + packed + struct.pack("!2H", TYPES[kind], 1)


def _skip_name(data: bytes, offset: int) -> int:
    while True:
        length = data[offset]
        if length >= 0xC0:
            return offset + 2
        offset += 1 + length
        if not length:
            return offset


def read_answer(data: bytes, number: int) -> tuple[str, tuple[str, ...]]:
    """Code and addresses of a packet; it has to be the answer to the question of that number."""
    try:
        found, flags, questions, answers, _authority, _more = struct.unpack("!6H", data[:12])
        if found != number or not flags & 0x8000:
            raise DnsError("not the answer to this question")
        offset = 12
        for _index in range(questions):
            offset = _skip_name(data, offset) + 4
        addresses = []
        for _index in range(answers):
            offset = _skip_name(data, offset)
            kind, _class, _ttl, length = struct.unpack("!HHIH", data[offset : offset + 10])
            offset += 10
            if kind in TYPES.values():
                addresses.append(str(ipaddress.ip_address(data[offset : offset + length])))
            offset += length
    except (IndexError, struct.error, ValueError) as error:
        raise DnsError(f"not a DNS answer: {error}") from error
    return CODES.get(flags & 15, str(flags & 15)), tuple(sorted(addresses))


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise DnsError("the connection ended early")
        data += more
    return data


def ask(server: str, name: str, kind: str = "A", tcp: bool = False, timeout: float = 2.0, port: int = 53) -> Answer:
    """Ask once."""
    number = int.from_bytes(os.urandom(2), "big")
    packet = question(name, kind, number)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    started = time.monotonic()
    try:
        with socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as stream:
            stream.settimeout(timeout)
            stream.connect((server, port))
            if tcp:
                stream.sendall(struct.pack("!H", len(packet)) + packet)
                data = _exactly(stream, struct.unpack("!H", _exactly(stream, 2))[0])
            else:
                stream.send(packet)
                data = stream.recv(4096)
    except socket.timeout:  # noqa: UP041 - before Python 3.10 TimeoutError is another class
        return Answer("TIMEOUT")
    except ConnectionRefusedError:
        return Answer("CLOSED")
    except OSError as error:
        return Answer(f"UNREACHABLE ({error.strerror})")
    except DnsError:
        return Answer("MALFORMED")
    try:
        code, addresses = read_answer(data, number)
    except DnsError:
        return Answer("MALFORMED")
    return Answer(code, addresses, round((time.monotonic() - started) * 1000, 1))


def explain(code: str) -> tuple[str, str]:
    """Cause and remedy of what came back instead of an address."""
    return CAUSES.get("TIMEOUT" if code.startswith("UNREACHABLE") else code, OTHER)
