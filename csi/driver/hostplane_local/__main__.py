# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: `serve` is the driver, `report` shows what is in a pool and what belongs to nothing."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from . import DRIVER, VERSION, report, server
from .errors import VolumeError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="hostplane-local", description=f"{DRIVER} {VERSION}")
    commands = top.add_subparsers(dest="command", required=True)
    for name, about in (("serve", "run the driver"), ("report", "print room, volumes and orphans as JSON")):
        command = commands.add_parser(name, help=about)
        command.add_argument("--pool", type=Path, required=True, help="directory of the images")
        about = "percent of the file system that stay free; by default 20 where the kubelet's files are, else 1"
        command.add_argument("--reserve-percent", type=int, default=-1, help=about)
        command.add_argument("--limit", type=int, default=0, help="bytes of all volumes together; 0 for no limit")
        command.add_argument("--kubelet", type=Path, default=Path("/var/lib/kubelet"), help="the kubelet's directory")
    serve = commands.choices["serve"]
    serve.add_argument("--node", default=os.environ.get("NODE_NAME", ""), help="this node; by default $NODE_NAME")
    serve.add_argument("--endpoint", type=Path, required=True, help="the driver's socket")
    serve.add_argument("--kubelet-endpoint", default="", help="the same socket as the kubelet sees it")
    serve.add_argument("--registration", default="", help="socket in the kubelet's plugins_registry")
    serve.add_argument("--max-volumes", type=int, default=0, help="volumes of this node; 0 for no limit")
    serve.add_argument("--metrics-port", type=int, default=0, help="port of /metrics and /healthz; 0 for none")
    return top


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if options.command == "report":
        reserve = options.reserve_percent
        if reserve < 0:
            reserve = server.reserve_for(options.pool, options.kubelet)
        found = report.read_only(options.pool, reserve, options.limit)
        print(json.dumps(found, indent=1, sort_keys=True))
        return 1 if found["orphans"] else 0
    if not options.node:
        parser().error("--node or $NODE_NAME is needed")
    settings = server.Settings(
        node=options.node,
        pool=options.pool,
        endpoint=options.endpoint,
        registration=options.registration,
        kubelet_endpoint=options.kubelet_endpoint,
        kubelet=options.kubelet,
        reserve_percent=options.reserve_percent,
        limit=options.limit,
        most_volumes=options.max_volumes,
        metrics_port=options.metrics_port,
    )
    try:
        server.main(settings)
    except VolumeError as exc:
        # The last line of the log is what `kubectl describe` and csi_ready show.
        logging.getLogger(__name__).error("%s", exc)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
