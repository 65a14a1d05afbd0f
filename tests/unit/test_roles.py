# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the collection as a whole: every role, every module, every file."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (TOP / "roles").iterdir() if path.is_dir())
MODULES = sorted(path.stem for path in (TOP / "plugins" / "modules").glob("*.py"))
UTILS = sorted(path.stem for path in (TOP / "plugins" / "module_utils").glob("*.py"))
FILTERS = sorted(path.stem for path in (TOP / "plugins" / "filter").glob("*.py"))
NAMESPACE = "ansible_collections.hostplane.cluster.plugins"
# Lines that a reader can take in at once.
LONGEST = {
    "plugins/modules/*.py": 300,
    "plugins/module_utils/*.py": 300,
    "plugins/filter/*.py": 150,
    "plugins/lookup/*.py": 150,
    "plugins/action/*.py": 150,
    "playbooks/*.yml": 60,
    "playbooks/tasks/*.yml": 150,
    "roles/*/tasks/*.yml": 150,
}


def files_of_the_tree() -> list[Path]:
    """What is or will be in the repository; all files when this is no checkout, such as an installed collection."""
    command = ["git", "-C", str(TOP), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
        found = [TOP / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        found = list(TOP.rglob("*"))
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def texts_of_tests(kind: str) -> str:
    """All tests but this one, as text."""
    paths = sorted((TOP / "tests" / kind).rglob("test_*.py"))
    return "\n".join(path.read_text() for path in paths if path.resolve() != Path(__file__).resolve())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def documentation(module: str) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """DOCUMENTATION with its fragments, EXAMPLES and RETURN."""
    texts = {}
    for node in ast.parse((TOP / "plugins" / "modules" / f"{module}.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            texts[ast.unparse(node.targets[0])] = node.value.value
    doc = yaml.safe_load(texts["DOCUMENTATION"])
    doc.setdefault("attributes", {})
    for fragment in doc.get("extends_documentation_fragment", []):
        _namespace, _collection, name, *part = fragment.split(".")
        found = importlib.import_module(f"{NAMESPACE}.doc_fragments.{name}").ModuleDocFragment
        text = getattr(found, part[0].upper() if part else "DOCUMENTATION")
        doc["attributes"].update(yaml.safe_load(text).get("attributes") or {})
    return doc, yaml.safe_load(texts["EXAMPLES"]), yaml.safe_load(texts["RETURN"])


@pytest.mark.parametrize("role", ROLES)
def test_arguments_of_a_role_are_its_defaults(role: str) -> None:
    specs = load(TOP / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    assert list(specs) == ["main"]
    assert specs["main"]["short_description"] and specs["main"]["description"]
    options = specs["main"]["options"]
    wanted = {name: option["default"] for name, option in options.items() if "default" in option}
    assert wanted == load(TOP / "roles" / role / "defaults" / "main.yml")
    # Ansible would call a wrong type only when the role is used.
    assert [name for name, option in options.items() if "type" not in option or "description" not in option] == []
    assert [name for name in options if not name.startswith(f"{role}_")] == []
    assert [name for name, option in options.items() if option.get("required") and "default" in option] == []
    mandatory = set(options) - set(wanted)
    assert all(options[name].get("required") for name in mandatory), "neither required nor with a default"


@pytest.mark.parametrize("role", ROLES)
def test_lists_of_a_role_say_of_what(role: str) -> None:
    def walk(options: dict[str, Any]) -> list[str]:
        wrong = []
        for name, option in options.items():
            if option.get("type") == "list" and "elements" not in option:
                wrong.append(name)
            wrong += walk(option.get("options") or {})
        return wrong

    assert walk(load(TOP / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]) == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_tells_galaxy_what_it_is(role: str) -> None:
    info = load(TOP / "roles" / role / "meta" / "main.yml")["galaxy_info"]
    assert info["description"] and info["license"] and info["min_ansible_version"]
    assert (TOP / "roles" / role / "tasks" / "main.yml").exists()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_documented(module: str) -> None:
    doc, examples, returns = documentation(module)
    assert doc["module"] == module
    assert doc["version_added"] and doc["short_description"] and doc["description"] and doc["author"]
    assert not doc["short_description"].endswith(".")
    assert doc["attributes"]["check_mode"]["support"] == "full"
    assert doc["attributes"]["diff_mode"]["support"] in ("full", "none")
    assert any(f"hostplane.cluster.{module}" in task for task in examples)
    for name, value in returns.items():
        assert value.get("description") and value.get("type") and value.get("returned"), name


@pytest.mark.parametrize("module", MODULES)
def test_a_module_supports_check_mode(module: str) -> None:
    """By its own word; what it does then is tested with each module."""
    tree = ast.parse((TOP / "plugins" / "modules" / f"{module}.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (made,) = [call for call in calls if ast.unparse(call.func) == "AnsibleModule"]
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in made.keywords}
    assert given.get("supports_check_mode") == "True"


def test_everything_that_speaks_to_the_api_is_in_the_action_group() -> None:
    fragment = "hostplane.cluster.attributes.api\n"
    users = [name for name in MODULES if fragment in (TOP / "plugins" / "modules" / f"{name}.py").read_text()]
    assert load(TOP / "meta" / "runtime.yml")["action_groups"]["cluster"] == users


@pytest.mark.parametrize("util", UTILS)
def test_a_util_says_that_it_is_private(util: str) -> None:
    assert util.startswith("_")
    path = TOP / "plugins" / "module_utils" / f"{util}.py"
    assert re.search(r"PRIVATE\W+to the collection", path.read_text())
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("util", UTILS)
def test_a_util_has_tests(util: str) -> None:
    """Directly, or through the module or util that is the only user of a part that was split off."""
    tests = texts_of_tests("unit")
    users = [util] + [
        path.stem
        for kind in ("modules", "module_utils", "filter", "lookup", "action")
        for path in (TOP / "plugins" / kind).glob("*.py")
        if re.search(rf"\b{util}\b", path.read_text())
    ]
    assert any(re.search(rf"plugins\.\w+(\.| import [^\n]*\b){user}\b", tests) for user in users)


@pytest.mark.parametrize("kind", ["modules", "filter", "lookup", "action"])
def test_a_plugin_has_tests(kind: str) -> None:
    tests = texts_of_tests("unit") + texts_of_tests("functional")
    names = {path.stem for path in (TOP / "plugins" / kind).glob("*.py")}
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", tests)) == []


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_does_what_its_file_says(name: str) -> None:
    plugin = importlib.import_module(f"{NAMESPACE}.filter.{name}")
    assert list(plugin.FilterModule().filters()) == [name]
    assert yaml.safe_load(plugin.DOCUMENTATION)["name"] == name
    assert yaml.safe_load(plugin.EXAMPLES) and yaml.safe_load(plugin.RETURN)["_value"]["type"]


@pytest.mark.parametrize(("pattern", "longest"), LONGEST.items())
def test_files_stay_short(pattern: str, longest: int) -> None:
    lengths = {str(path.relative_to(TOP)): len(path.read_text().splitlines()) for path in TOP.glob(pattern)}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > longest} == {}


def test_python_files_carry_the_licence() -> None:
    missing = [
        str(path.relative_to(TOP))
        for path in files_of_the_tree()
        if path.suffix == ".py"
        and not path.name.endswith("_pb2.py")
        and path.stat().st_size
        and "GPL-3.0-or-later" not in path.read_text()[:400]
    ]
    assert missing == []


def test_no_file_needs_the_place_where_it_was_written() -> None:
    # Brackets around one letter, or this file would be found.
    wrong = re.compile(rb"(?<![\w.}])/[w]ork/|\.\./[s]hared/(?:design|domain|recipe|style)|/[t]mp/hp\b")
    found = [str(path.relative_to(TOP)) for path in files_of_the_tree() if wrong.search(path.read_bytes())]
    assert found == []
