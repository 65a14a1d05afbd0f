# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of what goes away agree with themselves."""

from __future__ import annotations

from ansible_collections.hostplane.cluster.plugins.module_utils._upgrade_removed import (
    APIS,
    FLAGS,
    GATES,
    KUBEADM_GATES,
    LOCKED,
    VOLUMES,
)


def test_every_minor_from_32_to_37_is_there() -> None:
    minors = {api.minor for api in APIS} | set(GATES.values())
    assert minors >= set(range(32, 38))


def test_no_row_replaces_itself_and_none_is_there_twice() -> None:
    assert all(api.replacement != api.version for api in APIS)
    keys = [(api.name, api.kind) for api in APIS]
    assert len(keys) == len(set(keys))
    assert all(api.resource == api.resource.lower() and api.kind.lower()[:4] == api.resource[:4] for api in APIS)


def test_what_replaces_an_api_stays_longer() -> None:
    ends = {(api.group, api.version, api.kind): api.minor for api in APIS}
    for api in APIS:
        assert ends.get((api.group, api.replacement, api.kind), 99) > api.minor, api


def test_a_gate_is_locked_or_gone() -> None:
    assert not set(GATES) & set(LOCKED)


def test_minors_are_minors() -> None:
    found = [*GATES.values(), *KUBEADM_GATES.values(), *(minor for minor, dummy in LOCKED.values())]
    found += [minor for flags in FLAGS.values() for minor in flags.values()] + [
        minor for minor, dummy in VOLUMES.values()
    ]
    assert all(20 < minor < 60 for minor in found)
    assert not any(name.startswith("-") for flags in FLAGS.values() for name in flags)
