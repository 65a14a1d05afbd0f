# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster import Volumes
from kubernetes import client


@pytest.fixture
def volumes(api: client.CoreV1Api) -> Iterator[Volumes]:
    """Claims and pods that are gone when the test is over."""
    made = Volumes(api)
    yield made
    made.clean()


@pytest.fixture(scope="session")
def classes(api: client.CoreV1Api) -> client.StorageV1Api:
    """StorageClasses and CSI objects."""
    return client.StorageV1Api(api.api_client)
