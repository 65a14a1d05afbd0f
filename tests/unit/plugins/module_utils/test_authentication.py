# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of issuers without an API server, and what its metrics and log tell."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hostplane.cluster.plugins.module_utils import _authentication

GOOD: dict[str, Any] = {
    "issuer": {"url": "https://login.example.com", "audiences": ["kubernetes"]},
    "claimMappings": {
        "username": {"claim": "email", "prefix": "staff:"},
        "groups": {"claim": "groups", "prefix": "g:"},
    },
}


def test_good_settings_have_no_problem() -> None:
    expression = {"issuer": {**GOOD["issuer"], "url": "https://b"}, "claimMappings": {"username": {"expression": "x"}}}
    assert _authentication.find_problems([GOOD, expression]) == []
    assert _authentication.find_problems([]) == []


def test_an_empty_prefix_is_fine_when_system_names_are_refused() -> None:
    entry = copy.deepcopy(GOOD)
    entry["claimMappings"]["username"]["prefix"] = ""
    assert len(_authentication.find_problems([entry])) == 1
    entry["userValidationRules"] = [{"expression": "!user.username.startsWith('system:')"}]
    assert _authentication.find_problems([entry]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e["issuer"].pop("url"), "issuer.url is missing"),
        (lambda e: e["issuer"].update(url="http://login.example.com"), "no https URL"),
        (lambda e: e["issuer"].update(url="https://"), "no https URL"),
        (lambda e: e["issuer"].update(url="https://[::1"), "is no URL"),
        (lambda e: e["issuer"].update(url="https://me@login.example.com/?a=b"), "a user, a query or a fragment"),
        (lambda e: e["issuer"].update(discoveryURL="https://login.example.com/"), "must differ"),
        (lambda e: e["issuer"].update(audiences=[]), "at least one client ID"),
        (lambda e: e["issuer"].update(audiences="kubernetes"), "at least one client ID"),
        (lambda e: e["issuer"].update(audiences=["a", "a"]), "names one twice"),
        (lambda e: e["issuer"].update(audiences=["a", "b"]), "MatchAny"),
        (lambda e: e["issuer"].update(certificateAuthority="no PEM"), "no certificate"),
        (lambda e: e["issuer"].update(clientID="x"), "unknown key 'clientID'"),
        (lambda e: e.update(claims={}), "unknown key 'claims'"),
        (lambda e: e["claimMappings"].update(name={}), "unknown key 'name'"),
        (lambda e: e["claimMappings"].pop("username"), "username needs claim or expression"),
        (lambda e: e["claimMappings"].update(username="email"), "must be a dictionary"),
        (lambda e: e["claimMappings"]["username"].update(expression="x"), "both claim and expression"),
        (lambda e: e["claimMappings"]["username"].pop("prefix"), "needs a prefix"),
        (lambda e: e["claimMappings"]["groups"].update(prefix=""), "system:masters"),
        (lambda e: e["claimMappings"]["groups"].update(prefix="system:x"), "keeps for itself"),
        (lambda e: e.update(issuer="https://login.example.com"), "must be dictionaries"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[Any], Any], said: str) -> None:
    entry = copy.deepcopy(GOOD)
    change(entry)
    found = _authentication.find_problems([entry])
    assert any(said in problem.message for problem in found), found
    assert all(problem.remedy and problem.path == "cluster_jwt_authenticators[0]" for problem in found)


def test_all_problems_come_at_once() -> None:
    wrong = {"issuer": {"url": "http://a"}, "claimMappings": {}}
    assert len(_authentication.find_problems([wrong, GOOD, GOOD])) == 4
    many = [{**GOOD, "issuer": {**GOOD["issuer"], "url": f"https://{i}"}} for i in range(65)]
    (problem,) = _authentication.find_problems(many)
    assert "65" in problem.message


def test_the_file_is_the_same_for_the_same_settings() -> None:
    turned = {key: GOOD[key] for key in reversed(GOOD)}
    text = _authentication.render([GOOD])
    assert text == _authentication.render([turned]) and text.endswith("}\n")
    assert _authentication.digest(text) != _authentication.digest(_authentication.render([]))


def test_metrics_and_log() -> None:
    prefix = "apiserver_authentication_config_controller"
    text = (
        f"# TYPE {prefix}_last_config_info gauge\n"
        f'{prefix}_last_config_info{{apiserver_id_hash="sha256:aa",hash="sha256:bb"}} 1\n'
        f'{prefix}_automatic_reloads_total{{apiserver_id_hash="sha256:aa",status="failure"}} 2\n'
        f'{prefix}_automatic_reloads_total{{apiserver_id_hash="sha256:aa",status="success"}} 7\n'
    )
    assert _authentication.read_metrics(text) == ("sha256:bb", 2)
    assert _authentication.read_metrics("") == ("", 0)
    log = (
        'E1 x] "failed to load authentication config" err="old"\n'
        'E2 x] "failed to validate authentication config" err="jwt[0]: \\"a\\" is wrong"\n'
    )
    assert _authentication.read_reason(log) == 'jwt[0]: "a" is wrong'
    several = (
        '2026-11-21T13:10:15Z stderr F E1121 x] "failed to validate authentication config" err=<\n'
        "2026-11-21T13:10:15Z stderr F \tjwt[0]: Invalid value: compilation failed\n"
        "2026-11-21T13:10:15Z stderr F \t | user.nothing ==\n"
        "2026-11-21T13:10:15Z stderr F  >\n"
        '2026-11-21T13:10:16Z stderr F I1121 x] "reloaded authentication config"\n'
    )
    assert _authentication.read_reason(log + several) == "jwt[0]: Invalid value: compilation failed | user.nothing =="
    assert _authentication.read_reason("nothing") == ""
