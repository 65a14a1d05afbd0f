# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hostplane_local import record as records
from hostplane_local.errors import Invalid
from hostplane_local.record import READY, Record, Store
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=253))
def test_an_id_is_a_short_file_name_that_tells_its_node(name: str, node: str) -> None:
    identity = records.make_id(name, node)
    assert records.is_file_name(identity) and identity == records.make_id(name, node)
    assert not records.lies_elsewhere(identity, node)
    assert records.lies_elsewhere(identity, node + "-2")
    assert identity != records.make_id(name, node, snapshot=True)


@given(st.lists(st.text(min_size=1, max_size=120), unique=True, min_size=2, max_size=2))
def test_two_names_have_two_ids(names: list[str]) -> None:
    one, two = (records.make_id(name, "node") for name in names)
    assert one != two


def test_foreign_ids_are_of_no_node() -> None:
    assert not records.lies_elsewhere("fake-vol-id", "node")
    assert not records.lies_elsewhere("../../etc/passwd.n01234567", "node")


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = Record(id="a.n1", name="a", kind="volume", size=5, state=READY, source="volume/b", thin=True)
    store.write(record)
    assert store.read("a.n1") == record and list(store.records("volume")) == [record]
    assert list(store.records("snapshot")) == []
    assert (tmp_path / "a.n1.json").stat().st_mode & 0o777 == 0o600
    assert store.names() == ["a.n1.json"], "no temporary file stays"
    store.remove("a.n1")
    store.remove("a.n1")
    assert store.read("a.n1") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 2, "id": "a"}', '{"schema": 1, "id": "a", "new": 1}', '{"schema": 1}']
)
def test_what_is_no_record_is_never_taken_for_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    store = Store(tmp_path)
    with pytest.raises(ValueError):
        store.read("a")
    assert list(store.records()) == []


def test_a_record_under_another_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(Record(id="a", name="a", kind="volume", size=1))
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    with pytest.raises(ValueError, match="is about a"):
        store.read("b")


@pytest.mark.parametrize("identity", ["../x", "", ".hidden", "a/b", "a" * 200])
def test_ids_do_not_lead_out_of_the_pool(identity: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.read(identity) is None
    with pytest.raises(Invalid):
        store.image(identity)


def test_a_growing_volume_takes_what_it_grows_to() -> None:
    record = Record(id="a", name="a", kind="volume", size=5)
    assert record.committed == 5 and dataclasses.replace(record, target=8).committed == 8
