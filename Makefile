# The commands a user or contributor needs; each sets up .venv first where that is still to be done.

# The first Python that MXNet 1.9.1 can run on; `make PYTHON=/path/to/python3.11 setup` chooses another.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 14))
NEEDS := MXNet 1.9.1 needs Python 3.9 to 3.14 with the venv module
PYTHON ?= $(firstword $(foreach p,$(CANDIDATES),$(shell $(p) -c '$(SUITABLE)' 2>/dev/null && echo $(p))))
# The Pythons that a release has to run on, for `make release-check`.
PYTHONS ?= python3.9 python3.10 python3.11 python3.12 python3.13 python3.14
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup setup-horovod setup-gpu quickstart test test-all check docs picture notebooks jupyter mutants release-check lock clean

help:
	@echo "make quickstart  set up, then prepare, train, validate and export on the embedded sample"
	@echo "make test        set up, then run the tests (make test-all: the slow ones too)"
	@echo "make check       ruff and mypy"
	@echo "make docs        renew what the documents have from the code, and build the site"
	@echo "make picture     draw a report and a preview of quickstart's images for the documents, by Chromium"
	@echo "make notebooks   run the notebooks and store their outputs"
	@echo "make jupyter     bring Jupyter into $(VENV), and open the notebooks"
	@echo "make mutants     change the code in SAMPLE=300 places, one at a time: which tests notice? (hours)"
	@echo "make release-check"
	@echo "                 all that a new user does, from a clean clone, and on each of PYTHONS"
	@echo "make setup       only set up $(VENV)"
	@echo "make setup-horovod  build Horovod with Gloo for MXNet into $(VENV) (needs CMake and g++; minutes)"
	@echo "make setup-gpu   exchange MXNet in $(VENV) for its build for GPUs, with NVIDIA's libraries (2.1 GB)"
	@echo "make lock        renew requirements.lock from setup.py"
	@echo "make clean       remove $(VENV) and everything that quickstart made"

setup: $(READY)

$(READY): requirements.lock setup.py
	@test -n "$(PYTHON)" || { echo "No suitable Python found: $(NEEDS); install one and run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@"$(PYTHON)" -c '$(SUITABLE)' || { echo "$(PYTHON) is not suitable: $(NEEDS); run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@case "$$(uname -sm)" in "Linux x86_64" | "Linux aarch64") ;; *) \
	  echo "MXNet 1.9.1 is published for Linux on x86_64 and aarch64, and this is $$(uname -sm)" >&2; exit 2; esac
	@"$(PYTHON)" mobilenet/compat/native_libraries.py || exit 2
	@echo "setting up $(VENV): some minutes"
	@"$(PYTHON)" -m venv "$(VENV)" || { echo "no environment can be made in $(VENV)" >&2; exit 2; }
	@$(call pip,install --no-deps -r requirements.lock)
	@$(call pip,install --no-deps --no-build-isolation --editable .)
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(MAKE) --no-print-directory headless-opencv
	@touch $@

# Runs pip in the environment and ends with one sentence if it fails. The lock is complete, so that no
# resolver is needed, which would take MXNet at its word that it needs NumPy below 2.
pip = $(BIN)/python -m pip --quiet --disable-pip-version-check $(1) >$(VENV)/pip.log 2>&1 || { \
	echo "pip has failed (is there a network?): $$(grep -m 1 ^ERROR: $(VENV)/pip.log); all that it said is in $(VENV)/pip.log" >&2; exit 2; }

# opencv-python links libGL, which bare servers lack; the headless build of the same version does not.
.PHONY: headless-opencv
headless-opencv:
	@echo "opencv-python cannot load here (no libGL): using opencv-python-headless of the same version" >&2
	@$(call pip,uninstall --yes opencv-python)
	@$(call pip,install --no-deps --force-reinstall $$(sed -n 's/^opencv-python==/opencv-python-headless==/p' requirements.lock))
	@$(BIN)/python -c 'import cv2' || { echo "OpenCV cannot be loaded" >&2; exit 2; }

# Horovod's build asks MXNet where its library is, in processes of its own, so NumPy is repaired by a
# sitecustomize.py; it must see the MXNet of the environment, so it is not isolated.
HOROVOD_SITE := $(VENV)/horovod-build
setup-horovod: $(READY)
	@command -v cmake >/dev/null && command -v g++ >/dev/null || { echo "Horovod is built from source: install cmake and g++ first" >&2; exit 2; }
	@mkdir -p $(HOROVOD_SITE) && echo 'import mobilenet' > $(HOROVOD_SITE)/sitecustomize.py
	@$(call pip,install "setuptools<70" wheel)
	HOROVOD_WITH_MXNET=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MPI=1 \
	HOROVOD_WITH_GLOO=1 HOROVOD_CPU_OPERATIONS=GLOO MAKEFLAGS=-j2 PYTHONPATH="$$(cd $(HOROVOD_SITE) && pwd)" \
	$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation --no-cache-dir --editable ".[horovod]"
	@rm -r $(HOROVOD_SITE)
	$(BIN)/python -c 'import mobilenet, horovod.mxnet as h; h.init(); assert h.gloo_built()'

# MXNet's build for GPUs takes the place of the one for CPUs: both have the same files.
setup-gpu: $(VENV)/.gpu

$(VENV)/.gpu: $(READY) requirements-gpu.lock
	@$(BIN)/python -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' 2>/dev/null || { echo "MXNet's build for GPUs cannot be imported without NVIDIA's driver (libcuda.so.1), and there is none here: install it first" >&2; exit 2; }
	@echo "exchanging MXNet: 2.1 GB to download" >&2
	@$(call pip,uninstall --yes mxnet mxnet-cu112)
	@$(call pip,install --no-deps -r requirements-gpu.lock)
	@touch $@
	@$(BIN)/python -m mobilenet info --machine

quickstart: $(READY)
	$(BIN)/python -m mobilenet quickstart

# Two files of tests at a time, since most tests wait for other processes or use one processor.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

test: $(READY)
	$(PYTEST) -m "not slow and not gpu"

test-all: $(READY)
	$(PYTEST) -m "not gpu"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy

docs: $(READY)
	$(BIN)/python docs/generate.py
	$(BIN)/python -m mkdocs build --strict --quiet --site-dir build/site

# Of a report, on the page about validation; needs Chromium and the run that quickstart makes.
picture: $(READY)
	$(BIN)/python -m mobilenet train quickstart training.epochs=2 --run runs/quickstart/short --resume
	$(BIN)/python docs/report_picture.py
	$(BIN)/python -m mobilenet preview quickstart --output docs/pictures/preview.jpg

# The first one makes the run that the others start from.
notebooks: $(READY)
	$(BIN)/python notebooks/renew.py notebooks/train.ipynb notebooks/[!t]*.ipynb

jupyter: $(READY)
	$(BIN)/python -m pip install --quiet 'jupyterlab>=4'
	$(BIN)/python -m jupyter lab notebooks

# In an environment beside $(VENV), of which it sees the packages: nobody else needs these tools. What
# no test noticed is answered in .ci/mutants.md.
SAMPLE ?= 300
SEED ?= 0
MUTANTS := build/mutants-env
mutants: $(MUTANTS)/.ready
	$(MUTANTS)/bin/python .ci/mutants.py --sample $(SAMPLE) --seed $(SEED)

$(MUTANTS)/.ready: $(READY) .ci/mutants-requirements.txt
	@$(BIN)/python -m venv $(MUTANTS)
	@$(MUTANTS)/bin/python -m pip --quiet --disable-pip-version-check install -r .ci/mutants-requirements.txt
	@$(BIN)/python -c 'import site; print(*site.getsitepackages(), sep="\n")' > "$$($(MUTANTS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/tested.pth"
	@touch $@

release-check:
	"$(PYTHON)" .ci/release_check.py --pythons $(PYTHONS)

# One file for every supported Python; needs the resolver `uv` on the path. setup.py names MXNet for
# some Pythons only.
lock:
	echo mxnet==1.9.1 | uv pip compile setup.py - --extra dev --extra tensorboard --universal --python-version 3.9 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock
	sed -i -E "s/ and (implementation_name|platform_machine|platform_python_implementation|sys_platform) ..? '[^']*'//g; s/ and python_full_version < '3.15'//; s/ ; python_full_version < '3.15'( and .*)?$$//" requirements.lock
	sed -i '1i # Exact versions for Python 3.9 to 3.14 on Linux; made by `make lock`.' requirements.lock

clean:
	rm -rf $(VENV) runs/quickstart build dist *.egg-info
