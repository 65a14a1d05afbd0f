# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from hostplane_local import requests
from hostplane_local.errors import Invalid, OutOfRange
from hostplane_local.filesystems import MIB, SMALLEST
from hostplane_local.wire import csi
from hypothesis import assume, given
from hypothesis import strategies as st

MODES = csi.VolumeCapability.AccessMode


def capability(fs: str | None = "", mode: int = MODES.SINGLE_NODE_WRITER) -> t.Any:
    found = csi.VolumeCapability(access_mode=MODES(mode=mode))
    if fs is None:
        found.block.SetInParent()
    else:
        found.mount.fs_type = fs
    return found


@given(st.integers(0, 1 << 50), st.integers(0, 1 << 50), st.sampled_from(sorted(SMALLEST)))
def test_a_size_is_whole_and_within_the_limit(required: int, limit: int, fs: str) -> None:
    try:
        size = requests.whole_size(required, limit, fs)
    except OutOfRange:
        assume(limit)
        # Only what really can't be: the next whole size is above the limit.
        lowest = max(required, SMALLEST[fs])
        assert required > limit or limit < -(-lowest // MIB) * MIB
        return
    assert size % MIB == 0 and size >= max(required, SMALLEST[fs]) and (not limit or size <= limit)
    assert required == 0 or size < max(required, SMALLEST[fs]) + MIB


def test_the_size_without_a_wish() -> None:
    assert requests.whole_size(0, 0, "ext4") == 1 << 30
    assert requests.whole_size(0, 64 * MIB, "ext4") == 64 * MIB
    with pytest.raises(OutOfRange, match="do not fit"):
        requests.whole_size(-1, 0, "ext4")
    with pytest.raises(OutOfRange, match="the limit"):
        requests.whole_size(0, 200 * MIB, "xfs")


@pytest.mark.parametrize(
    ("text", "size"), [("1Gi", 1 << 30), ("500Mi", 500 * MIB), ("2G", 2 * 10**9), ("1.5Gi", 3 << 29), ("1048576", MIB)]
)
def test_quantities(text: str, size: int) -> None:
    assert requests.quantity(text, "size") == size


@pytest.mark.parametrize("text", ["", "-1Gi", "1 Gi", "1gi", "Gi", "1e3", "ten"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(Invalid, match="is no size"):
        requests.quantity(text, "size")


@pytest.mark.parametrize(
    "mode", ["MULTI_NODE_MULTI_WRITER", "MULTI_NODE_READER_ONLY", "MULTI_NODE_SINGLE_WRITER", "UNKNOWN"]
)
def test_no_volume_is_on_several_nodes(mode: str) -> None:
    with pytest.raises(Invalid, match="ReadWriteOnce"):
        requests.kind_of(capability(mode=MODES.Mode.Value(mode)))


def test_kinds() -> None:
    assert requests.kind_of(capability("xfs")) == requests.Kind("mount", "xfs")
    assert requests.kind_of(capability(None)) == requests.Kind("block", "")
    assert requests.kinds_of([capability(), capability(mode=MODES.SINGLE_NODE_READER_ONLY)]) == requests.Kind(
        "mount", ""
    )
    for wrong in ([], [capability(), capability(None)], [capability("xfs"), capability("ext4")], [capability("btrfs")]):
        with pytest.raises(Invalid):
            requests.kinds_of(wrong)
    with pytest.raises(Invalid, match="neither"):
        requests.kind_of(csi.VolumeCapability(access_mode=MODES(mode=MODES.SINGLE_NODE_WRITER)))


def test_parameters() -> None:
    assert requests.class_parameters({"thin": "true", "csi.storage.k8s.io/pvc/name": "x"}) is True
    assert requests.class_parameters({}) is False
    for wrong in ({"thin": "yes"}, {"thim": "true"}):
        with pytest.raises(Invalid):
            requests.class_parameters(wrong)
    with pytest.raises(Invalid, match="unknown thin"):
        requests.snapshot_parameters({"thin": "true"})


def test_inline_attributes() -> None:
    pod = {"csi.storage.k8s.io/ephemeral": "true", "csi.storage.k8s.io/pod.name": "p"}
    assert requests.is_inline(pod) and not requests.is_inline({})
    assert requests.inline_attributes({**pod, "size": "20Mi"}, "ext4") == (20 * MIB, False)
    assert requests.inline_attributes(pod, "ext4") == (1 << 30, False)
    with pytest.raises(Invalid, match="unknown sise"):
        requests.inline_attributes({"sise": "1Gi"}, "ext4")


@pytest.mark.parametrize("path", ["", "relative", "/"])
def test_paths(path: str) -> None:
    with pytest.raises(Invalid, match="target_path"):
        requests.absolute(path, "target_path")


@given(st.sets(st.text("abc.", min_size=1, max_size=4)), st.integers(1, 5))
def test_pages_show_everything_once(names: set[str], most: int) -> None:
    identities = sorted(names)
    seen: list[str] = []
    token = ""
    while True:
        found, token = requests.page(identities, identities, token, most)
        assert len(found) <= most
        seen += found
        if not token:
            break
    assert seen == identities


def test_a_page_after_one_that_is_gone() -> None:
    found, token = requests.page(["c", "d"], ["c", "d"], "after:b", 1)
    assert (found, token) == (["c"], "after:c")
    with pytest.raises(ValueError):
        requests.page([], [], "b", 0)
