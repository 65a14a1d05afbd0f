# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.hostplane.cluster.plugins.lookup import release


@pytest.fixture
def lookup(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin without the loader that usually reads its options."""
    plugin = release.LookupModule()
    options: dict[str, Any] = {}
    monkeypatch.setattr(plugin, "set_options", lambda var_options=None, direct=None: options.update(direct or {}))
    monkeypatch.setattr(plugin, "get_option", options.get)
    return plugin


def test_release_is_returned_with_absolute_paths(lookup: Any) -> None:
    (found,) = lookup.run(["1.36.3"])
    assert found["version"] == "1.36.3"
    assert Path(found["builds"]["kubernetes"]["gomod"], "go.sum").is_file()


def test_all_releases_without_terms(lookup: Any) -> None:
    versions = [found["version"] for found in lookup.run([])]
    assert {"1.35.4", "1.36.3"} <= set(versions)


def test_unknown_release_names_the_known_ones(lookup: Any) -> None:
    with pytest.raises(AnsibleError, match=r"known releases: .*1\.35\.4, 1\.36\.3"):
        lookup.run(["1.0.0"])


def test_a_broken_catalogue_is_explained(lookup: Any, tmp_path: Path) -> None:
    (tmp_path / "1.36.3.yml").write_text("version: [")
    with pytest.raises(AnsibleError, match="cannot be read"):
        lookup.run(["1.36.3"], directory=str(tmp_path))
    (tmp_path / "1.36.3.yml").write_text("version: 1.36.3\n")
    with pytest.raises(AnsibleError, match=r"cannot be used:(?s:.)*components(?s:.)*images"):
        lookup.run(["1.36.3"], directory=str(tmp_path))
