# Everything here makes its own environment in .venv; nothing needs to be installed before but Python and make.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO_OUTPUT ?= demo_output
DEMO_FLAGS ?=

.PHONY: setup demo test lint clean

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

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf $(VENV) demo_output build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
