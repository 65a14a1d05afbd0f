# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: htpasswd
short_description: A line of an htpasswd file that changes only with the password
version_added: "0.1.0"
description:
  - Returns user name and bcrypt hash of a password as registries and web servers read them from an htpasswd file.
  - The same input gives the same line, so that the file can be compared and is written only when the password changed.
    The salt is derived from password, user and O(scope) by scrypt, which costs an attacker more than the hash itself.
  - The cost of the hash is 5, as that of the program C(htpasswd), because registries compute it for every request.
    It is meant for long random passwords.
requirements:
  - bcrypt (Python library, on the controller)
positional: username, scope
options:
  _input:
    description: The password, at most 72 bytes.
    type: str
    required: true
  username:
    description: The user, without colon.
    type: str
    required: true
  scope:
    description: What the password is for, such as the address of a registry. Other scopes give other salts.
    type: str
    required: true
author:
  - hostplane contributors (@hostplane)
"""

EXAMPLES = r"""
- name: Write the password file of a registry
  ansible.builtin.copy:
    content: "{{ mirror_password | hostplane.cluster.htpasswd('hostplane', 'mirror.example.org') }}\n"
    dest: /etc/hostplane-mirror/htpasswd
    owner: root
    group: hostplane-mirror
    mode: "0640"
  no_log: true
"""

RETURN = r"""
_value:
  description: The line, without line end.
  type: str
"""

import base64
import hashlib
import typing as t

from ansible.errors import AnsibleFilterError

try:
    import bcrypt

    HAS_BCRYPT = True
except ImportError:
    HAS_BCRYPT = False

COST = 5
# bcrypt has an alphabet of its own for the same 64 digits.
BCRYPT_DIGITS = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)


def htpasswd(password: str, username: str, scope: str) -> str:
    """Return the line of an htpasswd file for a user."""
    if not HAS_BCRYPT:
        raise AnsibleFilterError("The Python library bcrypt is missing on the controller: pip install bcrypt")
    secret = password.encode()
    if not 0 < len(secret) <= 72:
        raise AnsibleFilterError(f"A password for htpasswd has 1 to 72 bytes, this one has {len(secret)}.")
    if not username or ":" in username:
        raise AnsibleFilterError(f"{username!r} is no user name for htpasswd: it must not be empty or have a colon.")
    salt = hashlib.scrypt(secret, salt=f"{username}@{scope}".encode(), n=1 << 14, r=8, p=1, dklen=16)
    digits = base64.b64encode(salt).rstrip(b"=").translate(BCRYPT_DIGITS)
    return f"{username}:{bcrypt.hashpw(secret, b'$2b$%02d$' % COST + digits).decode()}"


class FilterModule:
    """Filters of htpasswd files."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"htpasswd": htpasswd}
