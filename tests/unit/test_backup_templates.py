# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is rendered for the timer's uploads."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

TEMPLATES = Path(__file__).parents[2] / "roles/backup/templates"


@pytest.mark.parametrize("url", ["https://s3.example.com/bucket/prod", "https://s3.example.com/bucket/prod/"])
def test_each_file_becomes_an_object_of_its_own(url: str) -> None:
    """curl adds the file's name to a URL that ends in a slash, and to no other."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["comment"] = str
    settings = {"url": url, "access_key": "a", "secret_key": "b", "region": "eu", "ca_file": ""}
    values = {f"backup_s3_{name}": value for name, value in settings.items()}
    text = environment.from_string((TEMPLATES / "backup-s3.curl.j2").read_text()).render(ansible_managed="", **values)
    assert 'url = "https://s3.example.com/bucket/prod/"' in text.splitlines()
