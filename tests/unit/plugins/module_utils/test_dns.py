# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets by themselves; the module's tests ask a real server."""

from __future__ import annotations

import contextlib
import struct

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _dns
from hypothesis import given
from hypothesis import strategies as st

ASKED = _dns.question("kubernetes.default.svc.cluster.local.", "A", 7)


def reply(records: bytes, count: int, number: int = 7, flags: int = 0x8180) -> bytes:
    return struct.pack("!6H", number, flags, 1, count, 0, 0) + ASKED[12:] + records


def record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 30, len(data)) + data


def test_a_question_on_the_wire() -> None:
    assert ASKED[:12] == bytes.fromhex("0007 0100 0001 0000 0000 0000")
    assert ASKED[12:] == b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
    for name in ("", "a..b", "x" * 64):
        with pytest.raises((_dns.DnsError, UnicodeError)):
            _dns.question(name, "A", 1)


def test_addresses_come_sorted_and_aliases_are_passed_over() -> None:
    alias = record(5, b"\x01x\xc0\x0c")
    records = alias + record(1, bytes([10, 0, 0, 2])) + record(1, bytes([10, 0, 0, 1])) + record(28, bytes(15) + b"\1")
    assert _dns.read_answer(reply(records, 4), 7) == ("NOERROR", ("10.0.0.1", "10.0.0.2", "::1"))


@pytest.mark.parametrize(("flags", "code"), [(0x8182, "SERVFAIL"), (0x8183, "NXDOMAIN"), (0x8189, "9")])
def test_codes(flags: int, code: str) -> None:
    assert _dns.read_answer(reply(b"", 0, flags=flags), 7) == (code, ())


@pytest.mark.parametrize("data", [reply(b"", 0, number=8), ASKED, reply(b"", 1), b"", reply(record(1, b"abc"), 1)])
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(_dns.DnsError):
        _dns.read_answer(data, 7)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    with contextlib.suppress(_dns.DnsError):
        _dns.read_answer(b"\x00\x07\x81\x80" + data, 7)


@pytest.mark.parametrize("code", [*_dns.CAUSES, "UNREACHABLE (No route to host)", "MALFORMED", "NOERROR"])
def test_every_outcome_has_cause_and_remedy(code: str) -> None:
    cause, remedy = _dns.explain(code)
    assert cause and remedy.endswith(".")
