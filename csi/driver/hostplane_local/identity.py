# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Identity service."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

from . import DRIVER, VERSION
from .wire import csi


class Identity:
    def __init__(self, ready: Callable[[], bool]) -> None:
        self.ready = ready

    def GetPluginInfo(self, request: t.Any) -> t.Any:
        return csi.GetPluginInfoResponse(name=DRIVER, vendor_version=VERSION)

    def GetPluginCapabilities(self, request: t.Any) -> t.Any:
        capability = csi.PluginCapability
        services = [capability.Service.CONTROLLER_SERVICE, capability.Service.VOLUME_ACCESSIBILITY_CONSTRAINTS]
        online = capability.VolumeExpansion(type=capability.VolumeExpansion.ONLINE)
        return csi.GetPluginCapabilitiesResponse(
            capabilities=[
                *(capability(service=capability.Service(type=kind)) for kind in services),
                capability(volume_expansion=online),
            ]
        )

    def Probe(self, request: t.Any) -> t.Any:
        response = csi.ProbeResponse()
        response.ready.value = self.ready()
        return response
