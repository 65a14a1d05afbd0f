# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request asks for, checked: the only place that reads capabilities, sizes and parameters."""

from __future__ import annotations

import re
import typing as t

from .errors import Invalid, OutOfRange
from .filesystems import MIB, SMALLEST, check_kind
from .record import BLOCK, MOUNT
from .wire import csi

DEFAULT_SIZE = 1 << 30
_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(|[kMGT]|[KMGT]i)")
# The sidecars and the kubelet add their own.
_FOREIGN = "csi.storage.k8s.io/"
_SPECIAL = frozenset({"thin"})
_EPHEMERAL = frozenset({"thin", "size"})

SINGLE_WRITER = csi.VolumeCapability.AccessMode.SINGLE_NODE_SINGLE_WRITER
_NODE_LOCAL = frozenset(
    csi.VolumeCapability.AccessMode.Mode.Value(name)
    for name in (
        "SINGLE_NODE_WRITER",
        "SINGLE_NODE_READER_ONLY",
        "SINGLE_NODE_SINGLE_WRITER",
        "SINGLE_NODE_MULTI_WRITER",
    )
)


class Kind(t.NamedTuple):
    """`fs` is what was asked for, empty for the default or raw block."""

    mode: str
    fs: str
    flags: tuple[str, ...] = ()


def need(value: str, name: str) -> str:
    if not value:
        raise Invalid(f"{name} is missing")
    return value


def absolute(path: str, name: str) -> str:
    need(path, name)
    if not path.startswith("/") or path == "/":
        raise Invalid(f"{name} {path!r} is not an absolute path below /")
    return path


def kind_of(capability: t.Any) -> Kind:
    """Invalid for what a volume of one node can't be."""
    if capability.access_mode.mode not in _NODE_LOCAL:
        raise Invalid("a volume of this driver is on one node: only ReadWriteOnce and ReadWriteOncePod work")
    if capability.WhichOneof("access_type") == "block":
        return Kind(BLOCK, "")
    if capability.WhichOneof("access_type") != "mount":
        raise Invalid("the volume capability says neither mount nor block")
    fs = capability.mount.fs_type
    return Kind(MOUNT, check_kind(fs) if fs else "", tuple(capability.mount.mount_flags))


def kinds_of(capabilities: t.Sequence[t.Any]) -> Kind:
    """One kind for a volume: Invalid when it is to be both a file system and a block device, or two file systems."""
    if not capabilities:
        raise Invalid("volume_capabilities is missing")
    kinds = {(kind.mode, kind.fs) for kind in map(kind_of, capabilities)}
    if len(kinds) > 1:
        raise Invalid(
            "the volume capabilities contradict each other: one volume is either raw block or one file system"
        )
    return Kind(*kinds.pop())


def _known(parameters: t.Mapping[str, str], known: frozenset[str], where: str) -> dict[str, str]:
    found = {key: value for key, value in parameters.items() if not key.startswith(_FOREIGN)}
    unknown = sorted(set(found) - known)
    if unknown:
        raise Invalid(f"{where}: unknown {', '.join(unknown)}; there is {', '.join(sorted(known)) or 'none'}")
    return found


def thin_of(parameters: t.Mapping[str, str], where: str = "parameters") -> bool:
    value = parameters.get("thin", "false")
    if value not in ("true", "false"):
        raise Invalid(f'{where}: thin must be "true" or "false", not {value!r}')
    return value == "true"


def class_parameters(parameters: t.Mapping[str, str]) -> bool:
    """Whether volumes of the class are thin."""
    return thin_of(_known(parameters, _SPECIAL, "parameters"))


def snapshot_parameters(parameters: t.Mapping[str, str]) -> None:
    _known(parameters, frozenset(), "parameters")


def quantity(text: str, where: str) -> int:
    """Bytes of a Kubernetes quantity such as 500Mi."""
    match = _QUANTITY.fullmatch(text.strip())
    if not match:
        raise Invalid(f"{where}: {text!r} is no size such as 500Mi or 2Gi")
    return int(float(match.group(1)) * _UNITS[match.group(2)])


def inline_attributes(attributes: t.Mapping[str, str], fs: str) -> tuple[int, bool]:
    """Size in bytes and thinness of an inline volume."""
    found = _known(attributes, _EPHEMERAL, "volumeAttributes")
    size = quantity(found["size"], "volumeAttributes.size") if "size" in found else DEFAULT_SIZE
    return whole_size(size, 0, fs), thin_of(found, "volumeAttributes")


def is_inline(attributes: t.Mapping[str, str]) -> bool:
    return attributes.get(_FOREIGN + "ephemeral") == "true"


def whole_size(required: int, limit: int, fs: str, default: int = DEFAULT_SIZE) -> int:
    """Bytes in whole MiB, at least what the file system needs; OutOfRange when the limit is below that."""
    if required < 0 or limit < 0 or (limit and required > limit):
        raise OutOfRange(f"required_bytes {required} and limit_bytes {limit} do not fit each other")
    size = max(required or (min(default, limit // MIB * MIB) if limit else default), SMALLEST[fs])
    size = (size + MIB - 1) // MIB * MIB
    if limit and size > limit:
        raise OutOfRange(
            f"{required} bytes become {size} ({fs or 'raw block'} needs {SMALLEST[fs]}, sizes are whole MiB), "
            f"the limit is {limit}"
        )
    return size


def page(entries: t.Sequence[t.Any], identities: t.Sequence[str], token: str, most: int) -> tuple[list[t.Any], str]:
    """A page of a list that is sorted by id, and the token of the next one.

    The token names the last id of a page, so that it stays good when entries come and go; ValueError for any other.
    """
    start = 0
    if token:
        if not token.startswith("after:"):
            raise ValueError(f"{token!r} is no token of this driver")
        start = sum(1 for identity in identities if identity <= token[len("after:") :])
    end = start + most if most > 0 else len(entries)
    following = f"after:{identities[end - 1]}" if end < len(entries) else ""
    return list(entries[start:end]), following
