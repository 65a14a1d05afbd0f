# Every target sets up what it needs (hack/setup): programs by apt when missing, the rest outside the tree in ~/.cache/hostplane.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SETUP := eval "$$(hack/setup)"
SCENARIO ?= default
QUICKSTART := inventories/quickstart

.PHONY: help quickstart quickstart-down bundle test test-all lint unit sanity molecule build bench clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

quickstart: ## Make a real cluster of one control plane and two workers in node containers on this machine
	@$(SETUP); ansible-playbook -i $(QUICKSTART) playbooks/bundle.yml playbooks/lab.yml playbooks/mirror.yml playbooks/create.yml
	@echo "KUBECONFIG=$${HOME}/.cache/hostplane/lab/quickstart/admin.conf"

quickstart-down: ## Remove the quickstart's node containers
	@$(SETUP); ansible-playbook -i $(QUICKSTART) playbooks/lab.yml -e lab_state=absent

bundle: ## Make the bundle that all scenarios share, once for each content
	@$(SETUP); ansible-playbook playbooks/bundle.yml

test: ## Everything that proves the collection, within CI's time
	@began=$$(date +%s); $(MAKE) --no-print-directory --jobs=2 --output-sync=line lint sanity unit build bundle; \
	$(SETUP); pytest tests/functional tests/scenarios --began "$$began"

test-all: test ## The scenarios that take longer as well
	@$(SETUP); pytest tests/scenarios/test_molecule.py --long

lint: ## ruff, mypy, yamllint, ansible-lint (production), changelog
	@$(SETUP); ruff check .; ruff format --check .
	@$(SETUP); cd .build/collections && mypy --config-file $(CURDIR)/pyproject.toml -p ansible_collections.hostplane.cluster.plugins
	@$(SETUP); cd csi/driver && mypy --config-file $(CURDIR)/pyproject.toml -p hostplane_local
	@$(SETUP); yamllint .; ansible-lint; antsibull-changelog lint

unit: ## Unit tests
	@$(SETUP); pytest -n 2 tests/unit

sanity: ## ansible-test sanity for each supported ansible-core
	@hack/sanity

build: ## Build the collection, check it as Galaxy would, install it somewhere else and run it from there
	@$(SETUP); hack/build

molecule: ## Run one Molecule scenario: make molecule SCENARIO=default
	@$(SETUP); molecule test --no-command-borders --scenario-name "$(SCENARIO)"

bench: ## Compare create with the same work by hand, and show what adding a worker costs
	@$(SETUP); python tests/bench/bench.py

clean: ## Remove what this checkout made: labs, build files; the caches in ~/.cache/hostplane stay
	@$(SETUP); ansible-playbook -i $(QUICKSTART) playbooks/lab.yml -e lab_state=absent
	@rm -rf .build .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis
