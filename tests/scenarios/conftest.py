# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lab for all tests of behaviour: its hosts are empty, then carry a cluster, then are there to be spoiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import MEMBERS, CommandLines, Lab, Run

# In this order the hosts' state has to be made only once.
STAGES = ("empty_hosts", "cluster", "spare_hosts")
LOUD = ("-vvv", "--diff")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long scenarios instead of the others")
    parser.addoption("--began", type=int, default=0, help="when the whole run began, in seconds since 1970")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def stage(item: pytest.Item) -> int:
        names = getattr(item, "fixturenames", [])
        return max((number for number, name in enumerate(STAGES, start=1) if name in names), default=0)

    items.sort(key=stage)


@dataclass(frozen=True)
class Cluster:
    """A cluster of three nodes, and the runs that made it: the first one could not reach worker2."""

    lab: Lab
    inventory: Path
    first: Run
    second: Run
    # Whether nothing was restarted on cp1 and worker1 when worker2 was added.
    undisturbed: bool
    command_lines: frozenset[str]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Four node containers, one of them a mirror with the release."""
    lab = Lab(tmp_path_factory.mktemp("lab"), "scenarios", "10.94.0")
    lab.remove()
    try:
        lab.play(lab.inventory("scenarios"), "bundle", "lab").succeeded()
        yield lab
    finally:
        lab.remove()


@pytest.fixture(scope="session")
def mirror(lab: Lab) -> tuple[Run, frozenset[str]]:
    """The run that filled the mirror, and the command lines that were seen meanwhile."""
    with CommandLines() as lines:
        run = lab.play(lab.inventory("scenarios"), "mirror", args=LOUD).succeeded()
    return run, frozenset(lines.seen)


@pytest.fixture
def empty_hosts(lab: Lab, mirror: object) -> Lab:
    """The lab with nothing of a cluster on its hosts."""
    if lab.occupied_by:
        lab.reset(lab.occupied_by)
    return lab


@pytest.fixture(scope="session")
def cluster(lab: Lab, mirror: object) -> Cluster:
    """A cluster made while one worker was down, which then came back and was added."""
    inventory = lab.inventory("scenarios")
    with CommandLines() as lines:
        lab.podman("stop", "--time=0", lab.container("worker2"))
        first = lab.create(inventory, *LOUD)
        wrong = lab.unhealthy("cp1", "worker1")
        assert wrong == [], "\n".join([*wrong, first.log[-6000:]])
        before = [lab.processes(node) for node in ("cp1", "worker1")]
        lab.play(inventory, "lab").succeeded()
        second = lab.create(inventory, *LOUD).succeeded()
        undisturbed = [lab.processes(node) for node in ("cp1", "worker1")] == before
        assert lab.unhealthy(*MEMBERS) == []
    return Cluster(lab, inventory, first, second, undisturbed, frozenset(lines.seen))


@pytest.fixture
def spare_hosts(lab: Lab, mirror: object) -> Lab:
    """The lab, whatever there is on its hosts."""
    return lab
