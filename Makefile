# Needs Python 3.11 or newer and make. Everything else is installed into .venv, with the versions and hashes of requirements/.

PYTHON ?= python3
UV ?= uv
PYTEST_ARGS ?=
FUZZ_ARGS ?= 50000
LOCK_ARGS ?=

JUDGES := .venv/.torch .venv/.frameworks .venv/.deploy
PIP := .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input
COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --prerelease if-necessary --custom-compile-command "make lock" $(LOCK_ARGS)

.DEFAULT_GOAL := help
.PHONY: help run test slow attacks fuzz check faults frameworks bench calibrate picture openapi sbom audit format lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.run  ## serve on 127.0.0.1:8000, or on CHAINRULE_BIND
	@exec .venv/bin/chainrule serve  # exec, so that make's SIGTERM reaches the server and not a shell

test: $(JUDGES)  ## run all tests except the slow ones; PYTEST_ARGS="-k softmax" selects some of them
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

slow: $(JUDGES)  ## run the slow tests: those in a browser, under load, and over many cases
	@.venv/bin/python -m pytest -m slow $(PYTEST_ARGS)

attacks: .venv/.test  ## attack the service in a memory cgroup of 512 MiB; takes some minutes on an idle machine
	@.venv/bin/python -m pytest tests/attacks $(PYTEST_ARGS)

fuzz: .venv/.test  ## post 50,000 mutated requests; FUZZ_ARGS="1000 7 --first 200" sets number, seed and first request
	@.venv/bin/python -m tests.fuzz.run $(FUZZ_ARGS)

check: .venv/.test  ## lint, check formatting and types
	@.venv/bin/ruff check -q
	@.venv/bin/ruff format -q --check
	@.venv/bin/mypy --strict

faults: $(JUDGES)  ## plant faults into copies of the code, and check that the tests catch each
	@.venv/bin/python -m tests.faults.plant

frameworks: $(JUDGES)  ## measure PyTorch, JAX, Keras and ONNX, and write docs/frameworks.md
	@.venv/bin/python -m tests.frameworks.report

bench: $(JUDGES) .venv/.bench  ## measure the service and its alternatives, and write docs/performance.md
	@.venv/bin/python -m benchmarks.report

calibrate: .venv/.test  ## measure the constants of the cost model, and write chainrule/cost/rates.json
	@.venv/bin/python -m benchmarks.calibrate

picture: .venv/.test  ## redraw docs/explorer.png, with Chromium
	@.venv/bin/python -m tests.picture

openapi: .venv/.test  ## rewrite docs/openapi.json
	@.venv/bin/python -m tests.contract.document

sbom: .venv/.audit .venv/.shipped  ## write build/sbom.cdx.json, the packages that a deployment installs; PYTHON=python3.13 for the image
	@mkdir -p build
	@.venv/audit/bin/cyclonedx-py environment .venv/shipped --pyproject pyproject.toml --mc-type application --output-reproducible --validate -o build/sbom.cdx.json

audit: .venv/.audit  ## look for known vulnerabilities in the packages that a deployment installs
	@.venv/audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements/run.txt -r requirements/build.txt

format: .venv/.test  ## format the code, and apply the linter's fixes
	@.venv/bin/ruff check -q --fix
	@.venv/bin/ruff format

lock:  ## rewrite requirements/ from pyproject.toml; LOCK_ARGS=--upgrade for newer versions
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

# Each target below is a stamp file, touched at the end of its step. So an interrupted step runs again.

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

# A separate virtual environment, so that it and .venv do not share packages.
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

# Reference implementations for the tests. If the installation fails, there is no stamp: the next run tries again, which
# takes a second or two, and prints again why tests are skipped.
$(JUDGES): .venv/.%: .venv/.test requirements/%.txt
	@if $(PIP) --no-deps --only-binary :all: --require-hashes -r requirements/$*.txt 2>.venv/$*.log; then touch $@; \
	elif [ -n "$$TESTS_MAY_NOT_SKIP" ]; then cat .venv/$*.log >&2; exit 1; \
	else echo "No build of everything in requirements/$*.txt for this machine: the tests that need it are skipped."; fi
