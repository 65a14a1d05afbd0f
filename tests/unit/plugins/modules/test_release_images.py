# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, with a played crictl that keeps its images in a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.modules import release_images
from hypothesis import given
from hypothesis import strategies as st

Run = Callable[..., dict[str, Any]]
NAMES = ["etcd", "pause", "proxy"]
WANTED = {f"registry.k8s.io/{name}:v1": f"sha256:{number:064x}" for number, name in enumerate(NAMES)}

CRICTL = """#!{python}
import fcntl, json, pathlib, sys
base = pathlib.Path({base!r})
command = sys.argv[3:]
assert sys.argv[1:3] == ["--runtime-endpoint", "unix://" + str(base / "socket")]
with open(base / "lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open(base / "calls", "a") as log:
        print(*command, file=log)
    images = json.loads((base / "images").read_text())
    if command[0] == "images":
        if (base / "down").exists():
            (base / "down").unlink()
            sys.exit("connection refused")
        listing = [{{"repoTags": [tag], "repoDigests": ["x@" + sha]}} for tag, sha in images.items()]
        print(json.dumps({{"images": listing}}))
    else:
        remote = json.loads((base / "remote").read_text())
        if command[-1] not in remote:
            sys.exit("pulling\\nfailed to pull: not found")
        images[command[-1]] = remote[command[-1]]
        (base / "images").write_text(json.dumps(images))
"""


class Runtime:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.options = {"crictl": str(base / "crictl"), "endpoint": f"unix://{base}/socket", "images": WANTED}
        (base / "crictl").write_text(CRICTL.format(python=sys.executable, base=str(base)))
        (base / "crictl").chmod(0o755)
        (base / "socket").touch()
        self.put("images", {})
        self.put("remote", WANTED)

    def put(self, name: str, images: dict[str, str]) -> None:
        (self.base / name).write_text(json.dumps(images))

    def calls(self, verb: str) -> list[str]:
        path = self.base / "calls"
        return sorted(line for line in path.read_text().splitlines() if line.startswith(verb)) if path.exists() else []


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path)


def test_missing_images_are_pulled_once(run_module: Run, runtime: Runtime) -> None:
    result = run_module(release_images, diff=True, timeout=60, **runtime.options)
    assert (result["changed"], result["pulled"]) == (True, sorted(WANTED))
    assert result["diff"] == {"before": "", "after": "".join(f"{name}@{WANTED[name]}\n" for name in sorted(WANTED))}
    assert runtime.calls("pull") == [f"pull --pull-timeout 60s {name}" for name in sorted(WANTED)]
    for check in (True, False):
        again = run_module(release_images, check=check, diff=True, **runtime.options)
        assert (again["changed"], again["pulled"]) == (False, [])
        assert "diff" not in again
    assert len(runtime.calls("pull")) == len(WANTED)
    assert len(runtime.calls("images")) == 4


def test_check_mode_tells_the_same_and_pulls_nothing(run_module: Run, runtime: Runtime) -> None:
    runtime.put("images", dict(list(WANTED.items())[:1]))
    told = run_module(release_images, check=True, diff=True, **runtime.options)
    assert runtime.calls("pull") == []
    done = run_module(release_images, diff=True, **runtime.options)
    assert (told["changed"], told["pulled"], told["diff"]) == (done["changed"], done["pulled"], done["diff"])


@pytest.mark.parametrize("missing", ["crictl", "socket"])
def test_check_mode_on_a_host_without_a_runtime(run_module: Run, runtime: Runtime, missing: str) -> None:
    (runtime.base / missing).unlink()
    result = run_module(release_images, check=True, diff=True, **runtime.options)
    assert result["pulled"] == sorted(WANTED) and result["diff"]["after"].count("\n") == len(WANTED)
    assert runtime.calls("") == []


def test_another_image_under_the_name_is_replaced(run_module: Run, runtime: Runtime) -> None:
    name = sorted(WANTED)[0]
    runtime.put("images", {**WANTED, name: "sha256:" + "f" * 64})
    assert run_module(release_images, **runtime.options)["pulled"] == [name]


def test_a_mirror_with_another_image_is_an_error(run_module: Run, runtime: Runtime) -> None:
    name = sorted(WANTED)[0]
    runtime.put("remote", {**WANTED, name: "sha256:" + "f" * 64})
    result = run_module(release_images, **runtime.options)
    assert result["failed"]
    assert f"{name} (wanted {WANTED[name]})" in result["msg"] and "run the mirror playbook" in result["msg"]


def test_every_image_that_fails_is_named(run_module: Run, runtime: Runtime) -> None:
    first, *others = sorted(WANTED)
    runtime.put("remote", {first: WANTED[first]})
    result = run_module(release_images, **runtime.options)
    assert result["msg"].splitlines() == [f"{name}: failed to pull: not found" for name in others]


def test_a_runtime_that_just_started_is_asked_again(run_module: Run, runtime: Runtime) -> None:
    (runtime.base / "down").touch()
    runtime.put("images", WANTED)
    assert run_module(release_images, **runtime.options)["changed"] is False
    assert len(runtime.calls("images")) == 2


def test_a_runtime_that_does_not_answer(run_module: Run, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    (runtime.base / "down").touch()
    moments = iter([0.0, 16.0])
    monkeypatch.setattr(release_images.time, "monotonic", lambda: next(moments))
    result = run_module(release_images, **runtime.options)
    assert "does not answer on unix://" in result["msg"] and "connection refused" in result["msg"]


digests = st.sampled_from([f"sha256:{number}" for number in range(3)])


@given(st.dictionaries(st.sampled_from("abcd"), digests), st.dictionaries(st.sampled_from("abcd"), digests))
def test_missing_is_what_differs(present: dict[str, str], wanted: dict[str, str]) -> None:
    listing = {"images": [{"repoTags": [tag], "repoDigests": [f"x@{sha}"]} for tag, sha in present.items()]}
    missing = release_images.missing_images(listing, wanted)
    assert missing == sorted(name for name in wanted if present.get(name) != wanted[name])


def test_images_without_names_are_no_harm() -> None:
    listing = {"images": [{"repoTags": None, "repoDigests": None}, {"repoTags": ["a:1"]}, {}]}
    assert release_images.missing_images(listing, {"a:1": "sha256:0"}) == ["a:1"]
    assert release_images.missing_images({"images": None}, {}) == []
