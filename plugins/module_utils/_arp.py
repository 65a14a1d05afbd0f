# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
# Do not use it from other collections or standalone plugins.

"""Asking a LAN who has which address (ARP, RFC 826), before addresses of it are given to pods.

Written here because arping is a package that hosts need not have, and asks for one address only.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import time
import typing as t

ROUNDS = 3
# The longest that Linux waits by default before it answers for others is 0.8 s.
ROUND_SECONDS = 0.4
LAST_SECONDS = 0.9
# So many that no queue on the way drops them.
BURST = 128
BURST_PAUSE = 0.01
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_ETHERTYPE, _ETHERNET, _IPV4, _REQUEST, _REPLY = 0x0806, 1, 0x0800, 1, 2
_BROADCAST = b"\xff" * 6


class ArpError(Exception):
    """The LAN cannot be asked; the message says why."""


class Answer(t.NamedTuple):
    """Who has an address."""

    address: str
    mac: str


def addresses_of(cidrs: t.Iterable[str]) -> list[str]:
    """Every address of the ranges that a pod, or their gateway, could get."""
    return [str(address) for cidr in cidrs for address in ipaddress.IPv4Network(cidr).hosts()]


def request(mac: bytes, source: str, target: str) -> bytes:
    """The frame that asks for an address.

    In the name of an address of our own: to a question without a sender, a node does not answer for its pods.
    """
    return _FRAME.pack(
        _BROADCAST, mac, _ETHERTYPE, _ETHERNET, _IPV4, 6, 4, _REQUEST,
        mac, socket.inet_aton(source), b"\0" * 6, socket.inet_aton(target),
    )  # fmt: skip


def read(frame: bytes) -> Answer | None:
    """The answer that a frame is; None when it is something else."""
    if len(frame) < _FRAME.size:
        return None
    fields = _FRAME.unpack(frame[: _FRAME.size])
    if fields[2:8] != (_ETHERTYPE, _ETHERNET, _IPV4, 6, 4, _REPLY):
        return None
    return Answer(socket.inet_ntoa(fields[9]), ":".join(f"{byte:02x}" for byte in fields[8]))


def probe(interface: str, source: str, addresses: t.Sequence[str], own: t.Collection[str] = ()) -> list[Answer]:
    """Ask for every address several times; returns who has one, sorted by address. Needs root."""
    found: dict[str, str] = {}
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE)) as wire:
            wire.bind((interface, _ETHERTYPE))
            mac = wire.getsockname()[4]
            for number in range(ROUNDS):
                wanted = [address for address in addresses if address not in found and address not in own]
                for start in range(0, len(wanted), BURST):
                    for address in wanted[start : start + BURST]:
                        wire.send(request(mac, source, address))
                    _listen(wire, found, BURST_PAUSE)
                _listen(wire, found, LAST_SECONDS if number == ROUNDS - 1 else ROUND_SECONDS)
    except OSError as error:
        raise ArpError(f"the network behind {interface} cannot be asked: {error.strerror or error}") from error
    asked = set(addresses) - set(own)
    return [
        Answer(address, found[address])
        for address in sorted(asked & set(found), key=lambda text: int(ipaddress.IPv4Address(text)))
    ]


def _listen(wire: socket.socket, found: dict[str, str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([wire], [], [], left)[0]:
            return
        answer = read(wire.recv(2048))
        if answer:
            found.setdefault(answer.address, answer.mac)
