# `make demo` and `make test` each work as the first command on a fresh machine.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PINS := constraints/transformers-5.23.txt
OTHER_VERSIONS := transformers-4.56 transformers-4.57
SSHD := $(or $(shell PATH=$$PATH:/usr/sbin command -v sshd),/usr/sbin/sshd)
CHROMIUM := $(or $(shell command -v chromium),/usr/bin/chromium)
NPM := $(or $(shell command -v npm),/usr/bin/npm)
# What the HTML pictures of forecasts carry: one file and its licence of the package of that name.
CHARTS := src/trueup/forecasting/pictures/lightweight-charts
CHARTS_VERSION := 5.2.1
CHARTS_SHA512 := 215c282b544b1622cfb9b68a22335bb6358b9e93ccaa20014ab4dacbac2198d6bc2f5fb5f76f7656d1c9f815b23d4b8b0b0174b5c42584459dd422c1d9ad67b1
# What Debian's packages ask whether they may start their services.
NO_SERVICES := /usr/sbin/policy-rc.d
QUICK := not environment and not slow and not llamafactory
# One process for each core, each with the whole of a file: what a module sets up is set up once.
PYTEST := -m pytest -n auto --dist loadfile
# Tests of what a transformers release has to do with.
RELEASE_TESTS := $(addprefix tests/,adapt checkpoint cli demo doctor engines environment parity \
	pool protocol worker)

.PHONY: install demo faults test test-clients test-quick test-environments test-versions check clean

install: $(VENV)/complete $(CHARTS)/$(CHARTS_VERSION)

# torch goes first and alone: its exact pin then holds while the rest is resolved.
$(VENV)/complete: $(PINS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "TrueUp needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		apt-get update && apt-get install --yes python3-venv && $(PYTHON) -m venv $(VENV); }
	@echo "installing the pinned packages into $(VENV): a few minutes the first time"
	$(RUN) -m pip install -qq $$(grep '^torch==' $(PINS))
	$(RUN) -m pip install -qq --requirement $(PINS)
	$(RUN) -m pip install -qq --no-deps --no-build-isolation --editable .
	$(RUN) -m compileall -qq src
	touch $@

# Nothing of the package runs: its archive is compared with the sum above and unpacked.
$(CHARTS)/$(CHARTS_VERSION): | $(NPM)
	@rm -rf $(CHARTS) && mkdir -p $(CHARTS)
	$(NPM) pack --loglevel error --pack-destination $(CHARTS) lightweight-charts@$(CHARTS_VERSION) > /dev/null
	cd $(CHARTS) && echo "$(CHARTS_SHA512)  lightweight-charts-$(CHARTS_VERSION).tgz" | \
		sha512sum --check --quiet
	tar -xzf $(CHARTS)/*.tgz -C $(CHARTS) --strip-components 1 --no-same-owner package/LICENSE
	tar -xzf $(CHARTS)/*.tgz -C $(CHARTS) --strip-components 2 --no-same-owner \
		package/dist/lightweight-charts.standalone.production.js
	rm $(CHARTS)/*.tgz
	touch $@

$(NPM) $(CHROMIUM):
	apt-get update && apt-get install --yes --no-install-recommends $(notdir $@)

# Without the charts, for which a machine may lack npm.
demo: $(VENV)/complete
	$(VENV)/bin/trueup demo

# Hosts over SSH are tested with a real server, which the tests start for themselves.
$(SSHD):
	{ test -e $(NO_SERVICES) || printf '\043!/bin/sh\nexit 101\n# TrueUp\n' > $(NO_SERVICES); \
		chmod +x $(NO_SERVICES); apt-get update && apt-get install --yes --no-install-recommends openssh-server; \
		status=$$?; ! grep -qs '^# TrueUp' $(NO_SERVICES) || rm $(NO_SERVICES); exit $$status; }

test: install
	$(MAKE) test-quick
	$(MAKE) check
	$(MAKE) test-versions
	$(MAKE) test-environments

# Every fault of tests/faults, asked without a gateway and through ours, as a table.
faults: install
	$(RUN) -m tests.faults

test-quick: install $(SSHD) $(CHROMIUM)
	$(RUN) $(PYTEST) -m "$(QUICK)"

test-environments: install $(SSHD) $(CHROMIUM)
	$(RUN) $(PYTEST) -m "environment or slow or llamafactory"

# Real clients and servers of others, each in an environment of its own, with our gateway between
# them: some twenty minutes, and 6 GB of packages the first time. `RUN_CLIENTS='--only openai'` for a part.
test-clients: install
	$(RUN) -m tests.clients $(RUN_CLIENTS)

# On the other supported transformers releases.
test-versions: install
	for name in $(OTHER_VERSIONS); do \
		python=$$($(RUN) -m tests.environments $$name) && \
		PYTHONPATH=$(CURDIR)/src $$python $(PYTEST) -m "$(QUICK)" -p no:cacheprovider $(RELEASE_TESTS) || exit 1; \
	done

check: install
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m scripts.rules_page --check

clean:
	rm -rf $(VENV) $(CHARTS) .envs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
