# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hostplane.cluster.plugins.module_utils import _kubeletconfig as config
from hypothesis import given
from hypothesis import strategies as st

# As kubeadm 1.36 writes it, shortened.
TEXT = """\
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
clusterDNS:
- 10.96.0.10
cpuManagerPolicy: static
evictionHard:
  memory.available: 300Mi
healthzPort: 10248
kubeReserved:
  cpu: 50m
  memory: 3125Mi
logging:
  verbosity: 0
memoryManagerPolicy: None
"""
NONE = TEXT.replace("cpuManagerPolicy: static\n", "")

# Fields of the API; words such as "no" would be quoted.
NAMES = st.text("abcABC", min_size=1, max_size=8).map("field{}".format)
SCALARS = st.one_of(st.integers(0, 9), st.booleans(), NAMES)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=3), st.dictionaries(NAMES, SCALARS, min_size=1))


@given(st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES))
def test_what_differs_is_what_a_parser_sees(before: dict[str, Any], after: dict[str, Any]) -> None:
    texts = [yaml.safe_dump(data, default_flow_style=False) if data else "" for data in (before, after)]
    parsed = [yaml.safe_load(text) or {} for text in texts]
    differs = {key for key in {*parsed[0], *parsed[1]} if parsed[0].get(key, ...) != parsed[1].get(key, ...)}
    # True and 1 are equal for Python and not for the kubelet.
    assert differs <= set(config.changed_keys(*map(config.blocks, texts)))
    assert config.changed_keys(config.blocks(texts[0]), config.blocks(texts[0])) == []
    assert list(config.blocks(texts[0])) == list(parsed[0])


def test_words_of_a_configuration() -> None:
    parts = config.blocks(TEXT)
    assert config.scalar(parts, "healthzPort") == "10248"
    assert config.scalar(parts, "topologyManagerPolicy", "none") == "none"
    assert config.scalar(config.blocks('a: "x"\n'), "a") == "x"


@pytest.mark.parametrize(
    ("before", "after", "policies", "drop", "why"),
    [
        (TEXT, TEXT, {"cpu": "static", "memory": "None"}, [], []),
        (NONE, TEXT, {"cpu": "none"}, ["cpu_manager_state"], ["cpuManagerPolicy"]),
        (TEXT, NONE, {"cpu": "static"}, ["cpu_manager_state"], ["cpuManagerPolicy"]),
        # The configuration was written by a run that was killed then.
        (TEXT, TEXT, {"cpu": "none"}, ["cpu_manager_state"], ["cpuManagerPolicy"]),
        # Without a checkpoint there is nothing that could contradict.
        (NONE, TEXT, {}, [], []),
        (NONE, NONE.replace("50m", "100m"), {"cpu": "none"}, [], []),
        (TEXT, TEXT.replace("50m", "100m"), {"cpu": "static"}, ["cpu_manager_state"], ["kubeReserved"]),
        (TEXT, TEXT.replace("3125Mi", "1Gi"), {"cpu": "static"}, [], []),
        (TEXT, TEXT + "topologyManagerPolicy: restricted\n", {"cpu": "static"}, [], ["topologyManagerPolicy"]),
        (NONE, NONE + "topologyManagerPolicy: restricted\n", {"cpu": "none"}, [], []),
        (
            TEXT.replace("None", "Static"),
            TEXT.replace("None", "Static").replace("300Mi", "400Mi"),
            {"cpu": "static", "memory": "Static"},
            ["memory_manager_state"],
            ["evictionHard"],
        ),
        (TEXT, TEXT + "maxPods: 50\n", {"cpu": "static"}, [], []),
    ],
)
def test_when_a_node_has_to_be_empty(
    before: str, after: str, policies: dict[str, str], drop: list[str], why: list[str]
) -> None:
    assert config.disruption(before, after, policies) == (drop, why)


def test_policies_of_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", str(tmp_path))
    assert config.read_policies() == {}
    (tmp_path / "cpu_manager_state").write_text('{"policyName":"static","defaultCpuSet":"0-1","checksum":1}')
    (tmp_path / "memory_manager_state").write_text("{")
    assert config.read_policies() == {"cpu": "static"}


def test_errors_of_a_kubelet_without_its_prefixes() -> None:
    journal = (
        "I1121 12:00:00.1   10 server.go:1] fine\n"
        'E1121 12:00:00.2   10 run.go:72] "command failed" err="bad setting"\n'
        'E1121 12:00:03.2   11 run.go:72] "command failed" err="bad setting"\n'
    )
    assert config.kubelet_errors(journal) == '"command failed" err="bad setting"'


@pytest.mark.parametrize("directory", ["", "/somewhere"])
def test_kubeadm_is_told_where_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str) -> None:
    program = tmp_path / "kubeadm"
    program.write_text(f'#!/bin/sh\necho "$PATH $KUBEADM_UPGRADE_DRYRUN_DIR $@" > {tmp_path}/seen\n')
    program.chmod(0o755)
    monkeypatch.setattr(config, "PHASE", [str(program)])
    monkeypatch.setenv("PATH", "/bin")
    config.run_phase("/patches", directory)
    wanted = f"/usr/local/bin:/bin {directory} --patches /patches{' --dry-run' if directory else ''}\n"
    assert (tmp_path / "seen").read_text() == wanted


def test_a_patch_is_written_as_ansible_writes_it() -> None:
    assert config.patch_text({"b": {"d": 1}, "a": [True]}) == json.dumps({"a": [True], "b": {"d": 1}}, indent=4) + "\n"
