# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups go to S3-compatible storage, and the timer takes and keeps them without the controller."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _backup
from plays import SCENARIO, play
from waiting import until

# The controller as the lab's hosts see it.
ADDRESS, PORT = "10.79.0.1", 7070
CA = "/etc/hostplane/s3-ca.crt"
THERE = "/var/backups/hostplane"


def answers() -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((ADDRESS, PORT)) == 0


@pytest.fixture(scope="module")
def secret() -> str:
    return secrets.token_hex(20)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory, hosts: dict[str, Any], secret: str) -> Iterator[Path]:
    """The directory of a bucket of a real server, whose CA the control plane knows."""
    base = tmp_path_factory.mktemp("s3")
    program = "github.com/versity/versitygw/cmd/versitygw"
    argv = ["go", "build", "-C", str(SCENARIO / "s3"), "-mod=readonly", "-o", str(base / "versitygw"), program]
    subprocess.run(argv, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "1"]
    names = ["-subj", "/CN=s3", "-addext", f"subjectAltName=IP:{ADDRESS}", "-keyout", "key", "-out", "crt"]
    subprocess.run([*argv, *names], check=True, cwd=base, capture_output=True)
    found = base / "data/backups"
    found.mkdir(parents=True)
    settings = {
        "VGW_PORT": f"{ADDRESS}:{PORT}",
        "VGW_CERT": str(base / "crt"),
        "VGW_KEY": str(base / "key"),
        "ROOT_ACCESS_KEY": "writer",
        "ROOT_SECRET_KEY": secret,
    }
    argv = [str(base / "versitygw"), "--quiet", "posix", str(base / "data")]
    with subprocess.Popen(argv, env={**os.environ, **settings}) as server:
        until("the storage answers", answers, 30)
        hosts["cp1"].check_output(f"cat > {CA} << EOF\n{(base / 'crt').read_text()}EOF")
        yield found
        server.terminate()


@pytest.fixture(scope="module")
def storage(secret: str) -> dict[str, str]:
    """The settings of the role backup."""
    return {
        "backup_s3_url": f"https://{ADDRESS}:{PORT}/backups",
        "backup_s3_access_key": "writer",
        "backup_s3_secret_key": secret,
        "backup_s3_ca_file": CA,
    }


def kept(host: Any) -> list[str]:
    return host.check_output(f"cd {THERE} && ls *.backup").split()


def copies(bucket: Path) -> set[str]:
    return {path.name for path in bucket.glob("*.backup")}


def test_a_backup_is_copied_to_s3(hosts: dict[str, Any], bucket: Path, storage: dict[str, str], secret: str) -> None:
    before = set(kept(hosts["cp1"]))
    log = play("backup", "-vvv", "--diff", backup_fresh=0, **storage)
    (name,) = set(kept(hosts["cp1"])) - before
    metadata = _backup.read_metadata(str(bucket / name))
    assert hosts["cp1"].file(f"{THERE}/{name}").sha256sum == metadata["sha256"]
    assert (bucket / name).read_bytes() == hosts["cp1"].file(f"{THERE}/{name}").content
    assert secret not in log
    assert hosts["cp1"].file("/etc/hostplane/backup-s3.curl").mode == 0o600


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"backup_s3_secret_key": "another"}, "403"), ({"backup_s3_ca_file": ""}, "SSL certificate problem")],
)
def test_what_the_storage_refuses_is_told_and_the_backup_kept(
    hosts: dict[str, Any], bucket: Path, storage: dict[str, str], wrong: dict[str, str], told: str
) -> None:
    before, there = set(kept(hosts["cp1"])), copies(bucket)
    log = play("backup", code=2, backup_fresh=0, **{**storage, **wrong})
    assert "was made, but not copied" in log and told in log
    assert len(set(kept(hosts["cp1"])) - before) == 1
    assert copies(bucket) == there


def test_the_timer_keeps_its_schedule_and_the_newest_two(
    hosts: dict[str, Any], bucket: Path, storage: dict[str, str]
) -> None:
    cp1 = hosts["cp1"]
    schedule = {"backup_schedule": "*-*-* *:*:00", "backup_spread": 1, "backup_keep": 2}
    since, before = cp1.check_output("date +%s"), copies(bucket)
    play("backup", backup_fresh=3600, **schedule, **storage)
    until("two are made", lambda: len(copies(bucket) - before) >= 2, 240)
    cp1.check_output("systemctl stop hostplane-backup.timer")
    until("it has ended", lambda: cp1.run("systemctl is-active hostplane-backup.service").rc != 0)
    made = copies(bucket) - before
    assert kept(cp1) == sorted(made)[-2:]
    said = cp1.check_output(f"journalctl --unit=hostplane-backup --since=@{since} --output=cat")
    assert all(f"{THERE}/{name}: " in said for name in made), said
