# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that end on another day: the CA signs names and key again, for a lab can't move its clock."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

PKI = "/etc/kubernetes/pki"
KUBELET_CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
# Where each is, and which CA signs it.
PLACES = {
    "apiserver": (f"{PKI}/apiserver.crt", "ca"),
    "apiserver-kubelet-client": (f"{PKI}/apiserver-kubelet-client.crt", "ca"),
    "apiserver-etcd-client": (f"{PKI}/apiserver-etcd-client.crt", "etcd/ca"),
    "front-proxy-client": (f"{PKI}/front-proxy-client.crt", "front-proxy-ca"),
    "etcd-server": (f"{PKI}/etcd/server.crt", "etcd/ca"),
    "etcd-peer": (f"{PKI}/etcd/peer.crt", "etcd/ca"),
    "etcd-healthcheck-client": (f"{PKI}/etcd/healthcheck-client.crt", "etcd/ca"),
    "admin.conf": ("/etc/kubernetes/admin.conf", "ca"),
    "super-admin.conf": ("/etc/kubernetes/super-admin.conf", "ca"),
    "controller-manager.conf": ("/etc/kubernetes/controller-manager.conf", "ca"),
    "scheduler.conf": ("/etc/kubernetes/scheduler.conf", "ca"),
    "kubelet-client": (KUBELET_CLIENT, "ca"),
}
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.S)
EMBEDDED = re.compile(r"(client-certificate-data: )(\S+)")
# Files are read and written as a JSON object of path and text, and signed where the CA's key is.
READ = "import json, sys; print(json.dumps({path: open(path).read() for path in json.loads(sys.argv[1])}))"
WRITE = "import json, sys; [open(path, 'w').write(text) for path, text in json.loads(sys.argv[1]).items()]"
SIGN = """
import json, subprocess, sys
start, end, asked = json.loads(sys.argv[1])
for path, (pem, ca) in asked.items():
    ca = '/etc/kubernetes/pki/' + ca
    command = ['openssl', 'x509', '-CA', ca + '.crt', '-CAkey', ca + '.key', '-not_before', start, '-not_after', end]
    asked[path] = subprocess.run(command, input=pem, capture_output=True, text=True, check=True).stdout
print(json.dumps(asked))
"""


def run(host: Any, program: str, argument: Any) -> str:
    """Run a little Python program on a host."""
    return str(host.check_output("python3 -c %s %s", program, json.dumps(argument)))


def age(host: Any, signer: Any, days: float, *names: str) -> None:
    """Give certificates of a host so many days to live, all of them without a name; the signer is a control plane."""
    wanted = [PLACES[name] for name in names or PLACES]
    there = [(path, ca) for path, ca in wanted if host.file(path).exists]
    texts = json.loads(run(host, READ, [path for path, ca in there]))
    old = {}
    for path, ca in there:
        embedded = EMBEDDED.search(texts[path])
        pem = base64.b64decode(embedded[2]).decode() if embedded else CERTIFICATE.findall(texts[path])[0]
        old[path] = (pem, ca)
    now = datetime.now(timezone.utc)
    start, end = (f"{now + timedelta(days=day):%Y%m%d%H%M%SZ}" for day in (days - 365, days))
    for path, pem in json.loads(run(signer, SIGN, [start, end, old])).items():
        data = base64.b64encode(pem.encode()).decode()
        if EMBEDDED.search(texts[path]):
            texts[path] = EMBEDDED.sub(rf"\g<1>{data}", texts[path])
        else:
            texts[path] = texts[path].replace(old[path][0], pem)
    run(host, WRITE, texts)
