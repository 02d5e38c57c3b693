# Everything here makes its own environment in .venv; nothing needs to be installed before but Python and make.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO_OUTPUT ?= demo_output
DEMO_FLAGS ?=
ORTHANC_DICOMWEB := /usr/share/orthanc/plugins/libOrthancDicomWeb.so
# MONAI Label's environment: outside the checkout, one for each state of its pins, shared by all checkouts.
LABEL_ENV ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/monai_advexplain/label-env-$(shell cksum < label-constraints.txt | cut -d' ' -f1)
LABEL_PYTHON ?= python3.11

.PHONY: setup demo test lint clean system-tools label-env label-env-path test-label

setup: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.10 is needed, this is " + sys.version) if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(RUN) -m monai_advexplain demo --output $(DEMO_OUTPUT) $(DEMO_FLAGS)

test: setup
	$(RUN) -m pytest --cov --cov-report=term

# What judges written DICOM: dciodvfy, and a PACS. The tests that need them are skipped where they are missing.
system-tools:
	@if command -v dciodvfy >/dev/null && [ -x /usr/sbin/Orthanc ] && [ -e $(ORTHANC_DICOMWEB) ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then echo "system-tools: not root with apt-get, skipped"; \
	else apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	dicom3tools orthanc orthanc-dicomweb >/dev/null || echo "system-tools: apt-get could not install them, skipped"; fi

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# The package itself is installed anew each time, so that the environment serves the checkout that asked last.
label-env: $(LABEL_ENV)/.installed
	$(LABEL_ENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "MONAI Label's environment: $(LABEL_ENV)"

label-env-path:
	@echo "$(LABEL_ENV)"

# Built from scratch unless an earlier build was completed: an interrupted one has no .installed.
$(LABEL_ENV)/.installed:
	rm -rf "$(LABEL_ENV)"
	$(LABEL_PYTHON) -m venv "$(LABEL_ENV)"
	$(LABEL_ENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r label-constraints.txt
	echo "from pydicom.uid import *" > "$$(echo $(LABEL_ENV)/lib/python*/site-packages/pydicom)/_storage_sopclass_uids.py"
	@touch $@

test-label: setup label-env
	ADVEXPLAIN_LABEL_ENV="$(LABEL_ENV)" $(RUN) -m pytest tests/label

clean:
	rm -rf $(VENV) demo_output build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
