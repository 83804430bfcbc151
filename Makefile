# Needs Python 3.11 or newer and make. Everything else goes into .venv, in the versions and with the hashes of requirements/.

PYTHON ?= python3
UV ?= uv
PYTEST_ARGS ?=
FUZZ_ARGS ?= 50000
LOCK_ARGS ?=

JUDGES := .venv/.torch .venv/.frameworks .venv/.deploy
PIP := .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input
COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --prerelease if-necessary --custom-compile-command "make lock" $(LOCK_ARGS)

.DEFAULT_GOAL := help
.PHONY: help run test attacks fuzz check faults frameworks bench calibrate picture openapi sbom audit format lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.run  ## serve on 127.0.0.1:8000, or where CHAINRULE_BIND says
	@exec .venv/bin/chainrule serve  # exec: the SIGTERM that make passes on reaches the server, not a shell

test: $(JUDGES)  ## run the tests, some of them with PYTEST_ARGS="-k softmax"
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

attacks: .venv/.test  ## attack the service in a fence of 512 MiB: some minutes, both cores
	@.venv/bin/python -m pytest tests/attacks $(PYTEST_ARGS)

fuzz: .venv/.test  ## post 50,000 changed requests; FUZZ_ARGS="1000 7 --first 200" for another number, seed and beginning
	@.venv/bin/python -m tests.fuzz.run $(FUZZ_ARGS)

check: .venv/.test  ## lint, formatting and types
	@.venv/bin/ruff check -q
	@.venv/bin/ruff format -q --check
	@.venv/bin/mypy --strict

faults: $(JUDGES)  ## plant faults in a copy of the code, and see the tests catch every one
	@.venv/bin/python -m tests.faults.plant

frameworks: $(JUDGES)  ## measure PyTorch, JAX, Keras and ONNX anew, and write docs/frameworks.md
	@.venv/bin/python -m tests.frameworks.report

bench: $(JUDGES) .venv/.bench  ## measure the service, its alternatives and the floors, and write docs/performance.md
	@.venv/bin/python -m benchmarks.report

calibrate: .venv/.test  ## measure the constants of the cost model anew, and write chainrule/cost/rates.json
	@.venv/bin/python -m benchmarks.calibrate

picture: .venv/.test  ## draw docs/explorer.png anew, in Chromium
	@.venv/bin/python -m tests.picture

openapi: .venv/.test  ## write docs/openapi.json anew
	@.venv/bin/python -m tests.contract.document

sbom: .venv/.audit .venv/.shipped  ## write build/sbom.cdx.json: what a deployment installs, for the image by PYTHON=python3.13
	@mkdir -p build
	@.venv/audit/bin/cyclonedx-py environment .venv/shipped --pyproject pyproject.toml --mc-type application --output-reproducible --validate -o build/sbom.cdx.json

audit: .venv/.audit  ## ask the index whether a vulnerability is known of what a deployment installs
	@.venv/audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements/run.txt -r requirements/build.txt

format: .venv/.test  ## format the code, and mend what the linter can mend
	@.venv/bin/ruff check -q --fix
	@.venv/bin/ruff format

lock:  ## write requirements/ anew from pyproject.toml, with newer versions by LOCK_ARGS=--upgrade
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: python3 -m pip install uv, or UV=/path/to/uv" >&2; exit 1; }
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) pyproject.toml --extra tracing -c requirements/run.txt -o requirements/tracing.txt
	$(COMPILE) --group build -c requirements/run.txt -o requirements/build.txt
	$(COMPILE) pyproject.toml --extra tracing --group test --group check --group torch -c requirements/tracing.txt -c requirements/build.txt -o requirements/test.txt
	$(COMPILE) --group frameworks -c requirements/test.txt -o requirements/frameworks.txt
	$(COMPILE) --group deploy -c requirements/test.txt -o requirements/deploy.txt
	$(COMPILE) --group audit -o requirements/audit.txt
	$(COMPILE) --group bench -c requirements/test.txt -c requirements/frameworks.txt -o requirements/bench.txt

clean:  ## remove .venv and all caches
	@rm -rf .venv .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +

# Each file below is a stamp: touched when its step is done, so an interrupted step is done again.

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Chainrule needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.run: .venv/.made requirements/run.txt requirements/build.txt pyproject.toml
	@$(PIP) --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.test: .venv/.run requirements/test.txt
	@$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

# Apart from .venv, so that neither finds the other's packages.
.venv/.audit: .venv/.made requirements/audit.txt
	@$(PYTHON) -m venv --clear .venv/audit
	@.venv/audit/bin/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes -r requirements/audit.txt
	@touch $@

.venv/.shipped: .venv/.run
	@$(PYTHON) -m venv --clear --without-pip .venv/shipped
	@.venv/bin/python -m pip --python .venv/shipped/bin/python install -qq --disable-pip-version-check --no-input --require-hashes -r requirements/run.txt
	@touch $@

.venv/.bench: .venv/.test requirements/bench.txt
	@$(PIP) --no-deps --only-binary :all: --require-hashes -r requirements/bench.txt
	@touch $@

# The judges of the tests. Left without a stamp where that fails: to ask again costs a second or two, and tells again why
# tests are skipped.
$(JUDGES): .venv/.%: .venv/.test requirements/%.txt
	@if $(PIP) --no-deps --only-binary :all: --require-hashes -r requirements/$*.txt 2>.venv/$*.log; then touch $@; \
	elif [ -n "$$TESTS_MAY_NOT_SKIP" ]; then cat .venv/$*.log >&2; exit 1; \
	else echo "No build of everything in requirements/$*.txt for this machine: the tests that need it are skipped."; fi
