# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a restore that is repeated takes part in: the variables between the hosts' answers and the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
HOSTS = ["cp1", "cp2", "cp3"]
T1, T2, NOW = "20270101T000000Z", "20270102T000000Z", "20270103T000000Z"


def answer(token: str = "", done: str = "") -> dict[str, Any]:
    """What a host says: the token and the last step of what it did with the same backup."""
    resumed = bool(token) and done != "finish"
    return {"resumed": resumed, "token": token if resumed else NOW, "last_token": token, "done": done, "name": "x"}


def values(answers: list[dict[str, Any]], host: str, *names: str, backup: str = "") -> list[Any]:
    path = str(PLAYBOOKS / "vars/restore.yml")
    variables: dict[str, Any] = dict(DataLoader().load_from_file(path, trusted_as_template=True))
    hostvars = {
        name: {"inventory_hostname": name, "restore_check": said} for name, said in zip(HOSTS, answers, strict=True)
    }
    groups = {"control_plane": [*HOSTS, "off"], "restore_members": HOSTS}
    hostvars["off"] = {"inventory_hostname": "off"}
    facts = {"hostvars": hostvars, "groups": groups, "ansible_play_hosts": HOSTS, "inventory_hostname": host}
    if backup:
        facts["restore_proof"] = {"description": {"snapshot": {"kubernetes": backup}}}
    templar = Templar(loader=DataLoader(), variables={**variables, **facts, **hostvars[host], "cluster_name": "prod"})
    return [templar.template(variables[name]) for name in names]


def test_who_refuses_is_told_together() -> None:
    answers = [answer(), {"msg": "too little space"}, answer()]
    refusing, refusals = values(answers, "cp1", "restore_refusing", "restore_refusals")
    assert refusing == ["cp2", "off"]
    assert refusals == ["cp2: too little space", "off: could not be asked, as told above"]


def of_version(*versions: str) -> dict[str, Any]:
    return {**answer(), "versions": list(versions)}


def test_a_backup_of_another_version_is_refused_with_the_way_out() -> None:
    answers = [of_version("1.36.3")] * 3
    (problem,) = values(answers, "cp1", "restore_problems", backup="1.35.4")[0][1:]
    assert problem.startswith("The backup is of Kubernetes 1.35.4, the control planes are of 1.36.3.")
    assert "reset all hosts, set cluster_kubernetes_version to it" in problem


def test_what_was_made_before_an_unfinished_upgrade_is_good() -> None:
    answers = [of_version("1.36.3"), of_version("1.35.4", "1.36.3"), of_version("1.35.4")]
    assert len(values(answers, "cp1", "restore_problems", backup="1.35.4")[0]) == 1
    # Of what a survivor has it is not asked.
    assert len(values(answers, "cp1", "restore_problems")[0]) == 1


def token(answers: list[dict[str, Any]]) -> str:
    (found,) = values(answers, "cp1", "restore_token")
    return str(found)


def joined(answers: list[dict[str, Any]]) -> list[str]:
    """Who is left out."""
    return [host for host in HOSTS if values(answers, host, "restore_joined")[0]]


def test_a_first_restore_is_of_all() -> None:
    answers = [answer(), answer(), answer()]
    assert (token(answers), joined(answers)) == (NOW, [])


def test_what_was_killed_while_it_stopped_goes_on_with_all() -> None:
    answers = [answer(), answer(T2, "stop"), answer(T1, "finish")]
    assert (token(answers), joined(answers)) == (T2, [])


def test_who_has_finished_takes_part_and_changes_nothing() -> None:
    answers = [answer(T2, "finish"), answer(T2, "start_api"), answer(T2, "finish")]
    assert (token(answers), joined(answers)) == (T2, [])


def test_who_joined_since_the_data_are_back_is_left_alone() -> None:
    answers = [answer(T2, "start_api"), answer(), answer(T1, "finish")]
    assert (token(answers), joined(answers)) == (T2, ["cp2", "cp3"])


def test_when_all_have_finished_it_is_a_new_restore() -> None:
    answers = [answer(T2, "finish")] * 3
    assert (token(answers), joined(answers)) == (NOW, [])
