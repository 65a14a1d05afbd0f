# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions and answers on the wire, and a real network of two namespaces where that is allowed."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _arp
from hypothesis import given
from hypothesis import strategies as st

MAC = bytes.fromhex("525400123456")
OTHER = bytes.fromhex("02aabbccddee")


def answer(address: str, mac: bytes = OTHER, operation: int = 2) -> bytes:
    head = struct.pack("!6s6sHHHBBH", MAC, mac, 0x0806, 1, 0x0800, 6, 4, operation)
    return head + mac + socket.inet_aton(address) + MAC + socket.inet_aton("10.0.0.1")


def test_a_question_is_what_rfc_826_says() -> None:
    frame = _arp.request(MAC, "10.0.0.1", "10.0.0.9")
    assert frame == (
        b"\xff" * 6 + MAC + bytes.fromhex("0806 0001 0800 06 04 0001")
        + MAC + bytes([10, 0, 0, 1]) + b"\0" * 6 + bytes([10, 0, 0, 9])
    )  # fmt: skip


def test_an_answer_is_read_with_what_pads_it() -> None:
    assert _arp.read(answer("10.0.0.9") + b"\0" * 18) == ("10.0.0.9", "02:aa:bb:cc:dd:ee")


@pytest.mark.parametrize("frame", [b"", answer("10.0.0.9")[:-1], answer("10.0.0.9", operation=1)])
def test_other_frames_are_no_answers(frame: bytes) -> None:
    assert _arp.read(frame) is None


@given(st.binary(max_size=80))
def test_no_frame_is_too_strange(frame: bytes) -> None:
    _arp.read(frame)


def test_first_and_last_address_are_nobodys() -> None:
    assert _arp.addresses_of(["10.0.0.8/29", "10.0.1.0/30"]) == [
        *(f"10.0.0.{number}" for number in range(9, 15)),
        "10.0.1.1",
        "10.0.1.2",
    ]


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(_arp.ArpError, match="behind nosuch0"):
        _arp.probe("nosuch0", "10.0.0.1", ["10.0.0.9"])


SCRIPT = """
import sys
from ansible_collections.hostplane.cluster.plugins.module_utils import _arp
for found in _arp.probe("hpa", "10.213.0.1", _arp.addresses_of(["10.213.0.0/24"]), ["10.213.0.1", "10.213.0.3"]):
    print(found.address, found.mac)
"""


def test_who_has_an_address_is_found_on_a_real_wire(tmp_path: Path) -> None:
    lines = [
        "ip link add hpa type veth peer name hpb",
        "ip addr add 10.213.0.1/24 dev hpa && ip link set hpa up",
        "unshare --net sleep 60 & other=$!",
        "sleep 0.3",
        "ip link set hpb netns $other",
        "in_other() { nsenter --net --target $other ip $*; }",
        "in_other link set hpb address 02:aa:bb:cc:dd:ee up",
        "in_other addr add 10.213.0.7/24 dev hpb",
        "in_other addr add 10.213.0.200/24 dev hpb",
        "in_other addr add 10.213.0.3/24 dev hpb",
        f"{sys.executable} {tmp_path}/probe.py; kill $other",
    ]
    (tmp_path / "probe.py").write_text(SCRIPT)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("needs the right to make network namespaces")
    assert done.stdout.splitlines() == ["10.213.0.7 02:aa:bb:cc:dd:ee", "10.213.0.200 02:aa:bb:cc:dd:ee"], done.stderr
