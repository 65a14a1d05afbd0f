# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, each with the gRPC status that the CSI specification has for it."""

from __future__ import annotations


class VolumeError(Exception):
    """The text is for the operator: what is wrong, with which volume, what to do."""

    status = "INTERNAL"


class Invalid(VolumeError):
    status = "INVALID_ARGUMENT"


class NotFound(VolumeError):
    status = "NOT_FOUND"


class Exists(VolumeError):
    """The name is taken by something that does not fit the request."""

    status = "ALREADY_EXISTS"


class Busy(VolumeError):
    """Another call works on the same volume; the caller tries again."""

    status = "ABORTED"


class InUse(VolumeError):
    """The volume is in a state in which this cannot be done."""

    status = "FAILED_PRECONDITION"


class Full(VolumeError):
    """This node has no room; the scheduler may try another one."""

    status = "RESOURCE_EXHAUSTED"


class OutOfRange(VolumeError):
    status = "OUT_OF_RANGE"
