# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from ansible_collections.hostplane.cluster.plugins.module_utils import _storage_classes as storage
from hypothesis import given
from hypothesis import strategies as st


def make(name: str = "a", **settings: Any) -> dict[str, Any]:
    made = storage.read_class({"name": name, "provisioner": "x.y", **settings}, "classes", lambda *_args: None)
    assert made is not None
    return made


def stored(item: dict[str, Any]) -> dict[str, Any]:
    """As the API gives it back: what is empty is not there."""
    return {key: value for key, value in storage.to_object(item).items() if value not in ({}, [], False)}


CLASSES = st.builds(
    make,
    name=st.sampled_from(["a", "b", "c"]),
    default=st.booleans(),
    recreate=st.booleans(),
    allowVolumeExpansion=st.booleans(),
    reclaimPolicy=st.sampled_from(storage.RECLAIM),
    volumeBindingMode=st.sampled_from(storage.BINDING),
    parameters=st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from(["1", "2"])),
    mountOptions=st.lists(st.sampled_from(["ro", "noatime"]), max_size=2),
)


@given(CLASSES)
def test_what_was_written_is_recognized(item: dict[str, Any]) -> None:
    changes, problems = storage.compare([item], [stored(item)], {})
    assert problems == [] and not changes.any()


@given(st.lists(CLASSES, max_size=3, unique_by=lambda item: item["name"]), st.lists(CLASSES, max_size=3,
       unique_by=lambda item: item["name"]), st.dictionaries(st.sampled_from(["a", "b", "c"]), st.just(1)))  # fmt: skip
def test_what_is_planned_leads_there(wanted: Any, found: Any, used: Any) -> None:
    """Playing the changes with the API's own rules gives the wanted classes, and nothing it would refuse."""
    there = {item["name"]: item for item in found}
    changes, problems = storage.compare(wanted, [stored(item) for item in found], used)
    for name in [*changes.delete, *changes.recreate]:
        assert name in changes.recreate or not used.get(name)
        there.pop(name)
    for name in changes.demote:
        there[name] = {**there[name], "default": False}
    for item in wanted:
        if item["name"] in [*changes.create, *changes.recreate]:
            assert item["name"] not in there
            there[item["name"]] = item
        elif item["name"] in changes.update:
            assert all(there[item["name"]][key] == item[key] for key in storage.IMMUTABLE)
            there[item["name"]] = item
    if not problems:
        clean = [{key: value for key, value in item.items() if key != "recreate"} for item in wanted]
        kept = dict(there)
        assert [{k: v for k, v in kept[item["name"]].items() if k != "recreate"} for item in wanted] == clean
        assert {name for name in there if name not in {item["name"] for item in wanted}} <= set(used)


def test_an_immutable_difference_is_refused_with_both_values() -> None:
    now = stored(make(parameters={"type": "slow"}))
    changes, (problem,) = storage.compare([make(parameters={"type": "fast"}, reclaimPolicy="Retain")], [now], {"a": 3})
    assert not changes.any() and problem.code == "storage_class_immutable"
    assert "parameters is {'type': 'slow'}, wanted is {'type': 'fast'}" in problem.message
    assert "reclaimPolicy is 'Delete', wanted is 'Retain'" in problem.message and "3 volumes" in problem.remedy
    changes, problems = storage.compare([make(parameters={"type": "fast"}, recreate=True)], [now], {})
    assert (changes.recreate, problems) == (["a"], [])


def test_directories_of_a_node_are_never_made_in_place_of_a_missing_disk() -> None:
    item = make(provisioner="rancher.io/local-path")
    old = stored(item)
    assert old["metadata"]["annotations"].pop("defaultVolumeType") == "local"
    changes, problems = storage.compare([item], [old], {"a": 1})
    assert (changes.update, problems) == (["a"], [])
    assert not storage.compare([item], [stored(item)], {})[0].any()
    assert "defaultVolumeType" not in storage.to_object(make())["metadata"]["annotations"]


def test_classes_of_others() -> None:
    foreign = stored(make("b", default=True))
    foreign["metadata"]["labels"] = {}
    changes, _problems = storage.compare([make("a")], [foreign], {})
    assert (changes.create, changes.demote, changes.delete) == (["a"], [], [])
    changes, _problems = storage.compare([make("a", default=True)], [foreign], {})
    assert (changes.demote, changes.delete) == (["b"], [])
    # Taken over when it is listed, since from now on it is looked after.
    changes, _problems = storage.compare([make("b", default=True)], [foreign], {})
    assert changes.update == ["b"]


def test_a_class_that_the_api_server_filled_in() -> None:
    bare = {"metadata": {"name": "a"}, "provisioner": "x.y"}
    assert storage.from_object(bare)["volumeBindingMode"] == "Immediate"
    assert storage.from_object(bare)["default"] is False


def test_described_without_what_is_empty() -> None:
    assert storage.describe([make(default=True)]) == {
        "a": {
            "default": True,
            "provisioner": "x.y",
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    }
