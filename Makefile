# The commands a user or contributor needs; each sets up .venv first where that is still to be done.

# The first Python that MXNet 1.9.1 can run on; `make PYTHON=/path/to/python3.11 setup` chooses another.
CANDIDATES := python3 python3.12 python3.11 python3.10 python3.9
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(firstword $(foreach p,$(CANDIDATES),$(shell $(p) -c '$(SUITABLE)' 2>/dev/null && echo $(p))))
# The Pythons that a release has to run on, for `make release-check`.
PYTHONS ?= python3.9 python3.10 python3.11 python3.12
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup setup-horovod setup-gpu quickstart test test-all check docs picture notebooks release-check lock clean

help:
	@echo "make quickstart  set up, then prepare, train, validate and export on the embedded sample"
	@echo "make test        set up, then run the tests (make test-all: the slow ones too)"
	@echo "make check       ruff and mypy"
	@echo "make docs        renew what the documents have from the code, and build the site"
	@echo "make picture     draw the report of quickstart's run for the documents, by Chromium"
	@echo "make notebooks   run the notebooks and store their outputs"
	@echo "make release-check"
	@echo "                 all that a new user does, from a clean clone, and on each of PYTHONS"
	@echo "make setup       only set up $(VENV)"
	@echo "make setup-horovod  build Horovod with Gloo for MXNet into $(VENV) (needs CMake and g++; minutes)"
	@echo "make setup-gpu   exchange MXNet in $(VENV) for its build for GPUs, with NVIDIA's libraries (2.1 GB)"
	@echo "make lock        renew requirements.lock from setup.py"
	@echo "make clean       remove $(VENV) and everything that quickstart made"

setup: $(READY)

$(READY): requirements.lock setup.py
	@test -n "$(PYTHON)" || { echo "No suitable Python found: MXNet 1.9.1 needs Python 3.9 to 3.12 with the venv module; install one and run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c '$(SUITABLE)' || { echo "$(PYTHON) is not suitable: MXNet 1.9.1 needs Python 3.9 to 3.12 with the venv module; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "MXNet 1.9.1 is published for Linux on x86_64 only, and this is $$(uname -sm)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(MAKE) --no-print-directory headless-opencv
	@touch $@

# opencv-python links libGL, which bare servers lack; the headless build of the same version does not.
.PHONY: headless-opencv
headless-opencv:
	@echo "opencv-python cannot load here (no libGL): using opencv-python-headless of the same version" >&2
	version=$$(sed -n 's/^opencv-python==//p' requirements.lock) && \
	$(BIN)/pip uninstall --quiet --yes opencv-python && \
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps opencv-python-headless==$$version && \
	$(BIN)/python -c 'import cv2'

# Horovod's build asks MXNet where its library is, in processes of its own, so NumPy is repaired by a
# sitecustomize.py; it must see the MXNet of the environment, so it is not isolated.
HOROVOD_SITE := $(VENV)/horovod-build
setup-horovod: $(READY)
	@command -v cmake >/dev/null && command -v g++ >/dev/null || { echo "Horovod is built from source: install cmake and g++ first" >&2; exit 2; }
	@mkdir -p $(HOROVOD_SITE) && echo 'import numpy; numpy.bool = bool' > $(HOROVOD_SITE)/sitecustomize.py
	$(BIN)/pip install --quiet --disable-pip-version-check "setuptools<70" wheel
	HOROVOD_WITH_MXNET=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MPI=1 \
	HOROVOD_WITH_GLOO=1 HOROVOD_CPU_OPERATIONS=GLOO MAKEFLAGS=-j2 PYTHONPATH=$(abspath $(HOROVOD_SITE)) \
	$(BIN)/pip install --disable-pip-version-check --no-build-isolation --no-cache-dir --editable ".[horovod]"
	@rm -r $(HOROVOD_SITE)
	$(BIN)/python -c 'import mobilenet, horovod.mxnet as h; h.init(); assert h.gloo_built()'

# MXNet's build for GPUs takes the place of the one for CPUs: both have the same files.
setup-gpu: $(VENV)/.gpu

$(VENV)/.gpu: $(READY) requirements-gpu.lock
	$(BIN)/python -m pip uninstall --quiet --yes mxnet mxnet-cu112
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-gpu.lock
	@touch $@
	@$(BIN)/python -m mobilenet info --machine

quickstart: $(READY)
	$(BIN)/python -m mobilenet quickstart

test: $(READY)
	$(BIN)/python -m pytest -m "not slow and not gpu"

test-all: $(READY)
	$(BIN)/python -m pytest -m "not gpu"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

# Of a report, on the page about validation; needs Chromium and the run that quickstart makes.
picture: $(READY)
	$(BIN)/python docs/report_picture.py

# The first one makes the run that the others start from.
notebooks: $(READY)
	$(BIN)/python notebooks/renew.py notebooks/train.ipynb notebooks/[!t]*.ipynb

release-check:
	$(PYTHON) .ci/release_check.py --pythons $(PYTHONS)

# One file for every supported Python; needs the resolver `uv` on the path.
lock:
	uv pip compile setup.py --extra dev --extra tensorboard --universal --python-version 3.9 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock
	sed -i -E "s/ and (platform_machine|platform_python_implementation|sys_platform) ..? '[^']*'//g; s/ and python_full_version < '3.13'//; s/ ; python_full_version < '3.13'$$//" requirements.lock
	sed -i '1i # Exact versions for Python 3.9 to 3.12 on Linux; made by `make lock`.' requirements.lock

clean:
	rm -rf $(VENV) runs/quickstart build dist *.egg-info
