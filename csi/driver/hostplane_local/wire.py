# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as generic handlers made from the descriptors: the compiler's service classes would tie the driver to one
version of grpcio."""

from __future__ import annotations

import logging
import time
import typing as t
from collections.abc import Callable

import grpc

from . import csi_pb2, pluginregistration_pb2
from .errors import VolumeError

csi: t.Any = csi_pb2
registration: t.Any = pluginregistration_pb2

LOG = logging.getLogger(__name__)
# Called all the time by sidecars and the kubelet: not worth a line each.
_QUIET = frozenset(
    {
        "ControllerGetCapabilities",
        "GetCapacity",
        "GetPluginCapabilities",
        "GetPluginInfo",
        "NodeGetCapabilities",
        "NodeGetInfo",
        "NodeGetVolumeStats",
        "Probe",
    }
)


def _guarded(name: str, method: Callable[[t.Any], t.Any]) -> Callable[[t.Any, grpc.ServicerContext], t.Any]:
    """A method that answers its own errors with their status; requests are not logged, they may hold secrets."""

    def call(request: t.Any, context: grpc.ServicerContext) -> t.Any:
        subject = next(filter(None, (getattr(request, key, "") for key in ("volume_id", "name", "snapshot_id"))), "")
        started = time.monotonic()
        try:
            response = method(request)
        except VolumeError as exc:
            LOG.warning("%s %s: %s: %s", name, subject, exc.status, exc)
            context.abort(grpc.StatusCode[exc.status], str(exc))
        except Exception as exc:
            LOG.exception("%s %s", name, subject)
            context.abort(grpc.StatusCode.INTERNAL, f"{type(exc).__name__}: {exc}")
        if name not in _QUIET:
            LOG.info("%s %s: %.2f s", name, subject, time.monotonic() - started)
        return response

    return call


def handler(messages: t.Any, service: str, servicer: object) -> grpc.GenericRpcHandler:
    """`servicer` has a method for each call that it knows; every other one is answered with UNIMPLEMENTED."""
    described = messages.DESCRIPTOR.services_by_name[service]
    methods = {}
    for method in described.methods:
        function = getattr(servicer, method.name, None)
        if function is not None:
            methods[method.name] = grpc.unary_unary_rpc_method_handler(
                _guarded(method.name, function),
                request_deserializer=getattr(messages, method.input_type.name).FromString,
                response_serializer=getattr(messages, method.output_type.name).SerializeToString,
            )
    return grpc.method_handlers_generic_handler(described.full_name, methods)


def stub(channel: grpc.Channel, messages: t.Any, service: str, method: str) -> Callable[..., t.Any]:
    """A call of a service, for tests and tools."""
    described = messages.DESCRIPTOR.services_by_name[service]
    found = described.methods_by_name[method]
    return t.cast(
        "Callable[..., t.Any]",
        channel.unary_unary(
            f"/{described.full_name}/{method}",
            request_serializer=getattr(messages, found.input_type.name).SerializeToString,
            response_deserializer=getattr(messages, found.output_type.name).FromString,
        ),
    )
