# Needs Python 3.11 and make; everything else is installed into .venv.
PYTHON ?= $(firstword $(shell command -v python3.11 python3 python))
VENV := .venv
BIN := $(VENV)/bin

.PHONY: map test long lint bench docs clean

map: $(VENV)/.installed
	@$(BIN)/thalweg recipe run modular-addition

test: $(VENV)/.installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/pytest -n 2

long: $(VENV)/.installed-test
	$(BIN)/pytest -n 2 -m long

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/sgld.py

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# A CPU build of torch is taken where pip offers one; the package itself only bounds the version.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) .ruff_cache
