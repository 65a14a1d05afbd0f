# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process: one per node and pool, with the driver's socket and the one that the kubelet finds it by."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import threading
import typing as t
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from . import DRIVER, metrics, whereabouts
from .controller import Controller
from .engine import Engine
from .errors import VolumeError
from .host import Host
from .identity import Identity
from .node import Node
from .pool import Pool, reserve_for
from .record import Store
from .report import LOCK, report
from .wire import csi, handler, registration

LOG = logging.getLogger(__name__)
# A copy may take long; the others must get their turn meanwhile.
_THREADS = 16
_GRACE_SECONDS = 20


class Settings(t.NamedTuple):
    """`reserve_percent` below 0: by where the pool is. `registration` empty: nobody to register with.

    `kubelet_endpoint`: the driver's socket as the kubelet sees it.
    """

    node: str
    pool: Path
    endpoint: Path
    registration: str = ""
    kubelet_endpoint: str = ""
    kubelet: Path = Path("/var/lib/kubelet")
    reserve_percent: int = -1
    limit: int = 0
    most_volumes: int = 0
    metrics_port: int = 0


class Registration:
    """What the kubelet's plugin watcher asks for."""

    def __init__(self, endpoint: str, stop: threading.Event) -> None:
        self.endpoint = endpoint
        self.stop = stop

    def GetInfo(self, request: t.Any) -> t.Any:
        return registration.PluginInfo(
            type="CSIPlugin", name=DRIVER, endpoint=self.endpoint, supported_versions=["1.0.0"]
        )

    def NotifyRegistrationStatus(self, request: t.Any) -> t.Any:
        if request.plugin_registered:
            LOG.info("registered with the kubelet")
        else:
            # The kubelet asks again when the socket comes back, so the process ends and is started again.
            LOG.error("the kubelet refused the registration: %s", request.error)
            self.stop.set()
        return registration.RegistrationStatusResponse()


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Two drivers never work on the same pool; the second waits until the first is gone."""
    with (directory / LOCK).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.warning("another driver works on %s; waiting until it ends", directory)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def listen(path: str, *handlers: grpc.GenericRpcHandler) -> grpc.Server:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    server = grpc.server(ThreadPoolExecutor(_THREADS), handlers=handlers)
    if not server.add_insecure_port(f"unix://{path}"):
        raise OSError(f"cannot listen on {path}")
    server.start()
    # grpcio leaves it to the umask.
    os.chmod(path, 0o600)
    return server


def make_pool(settings: Settings) -> Pool:
    whereabouts.check(settings.pool, settings.endpoint.parent / "pool.json")
    os.chmod(settings.pool, 0o700)
    reserve = settings.reserve_percent
    if reserve < 0:
        reserve = reserve_for(settings.pool, settings.kubelet)
    return Pool(Store(settings.pool), reserve, settings.limit)


def log_report(pool: Pool) -> None:
    """What the pool cannot tell now is no reason not to serve its volumes."""
    try:
        found = report(pool)
        for orphan in found["orphans"]:
            LOG.warning("orphan: %s", orphan)
        LOG.info("pool %s: %s, reflinks %s", pool.store.directory, found["pool"], pool.reflinks)
    except (VolumeError, OSError) as exc:
        LOG.error("pool %s: %s", pool.store.directory, exc)


def serve(settings: Settings, stop: threading.Event) -> None:
    """Until `stop` is set. The sockets come last: who can ask gets answers."""
    pool = make_pool(settings)
    with only_one(settings.pool):
        engine = Engine(Host(pool.store, pool))
        for problem in engine.recover():
            LOG.error("not recovered: %s", problem)
        log_report(pool)
        serving = threading.Event()
        server = listen(
            str(settings.endpoint),
            handler(csi, "Identity", Identity(serving.is_set)),
            handler(csi, "Controller", Controller(engine, pool, settings.node)),
            handler(csi, "Node", Node(engine, pool, settings.node, settings.most_volumes)),
        )
        serving.set()
        servers = [server]
        if settings.metrics_port:
            metrics.serve(settings.metrics_port, lambda: report(pool), serving.is_set)
        if settings.registration:
            answers = Registration(settings.kubelet_endpoint or str(settings.endpoint), stop)
            servers.append(listen(settings.registration, handler(registration, "Registration", answers)))
        LOG.info("serving at %s", settings.endpoint)
        stop.wait()
        serving.clear()
        for each in reversed(servers):
            each.stop(_GRACE_SECONDS).wait()


def main(settings: Settings) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_ignored: stop.set())
    serve(settings, stop)
