# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hostplane.cluster.plugins.filter import htpasswd as plugin
from hypothesis import given, settings
from hypothesis import strategies as st

bcrypt = pytest.importorskip("bcrypt")
htpasswd = plugin.FilterModule().filters()["htpasswd"]
passwords = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=18)


@settings(max_examples=10, deadline=None)
@given(passwords)
def test_line_verifies_and_stays_the_same(password: str) -> None:
    line = htpasswd(password, "hostplane", "mirror:5000")
    user, _sep, hashed = line.partition(":")
    assert user == "hostplane" and hashed.startswith("$2b$05$")
    assert bcrypt.checkpw(password.encode(), hashed.encode())
    assert htpasswd(password, "hostplane", "mirror:5000") == line


def test_salt_depends_on_password_user_and_scope() -> None:
    inputs = [("secret one", "a", "x"), ("secret two", "a", "x"), ("secret one", "b", "x"), ("secret one", "a", "y")]
    assert len({htpasswd(*values).partition(":")[2][7:29] for values in inputs}) == 4


@pytest.mark.parametrize("password,user", [("", "u"), ("x" * 73, "u"), ("x", "a:b"), ("x", "")])
def test_what_htpasswd_cannot_hold_is_refused(password: str, user: str) -> None:
    with pytest.raises(AnsibleFilterError):
        htpasswd(password, user, "x")


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "HAS_BCRYPT", False)
    with pytest.raises(AnsibleFilterError, match="pip install bcrypt"):
        htpasswd("x", "u", "x")
