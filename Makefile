# One obvious command each. PYTHON may name any Python from 3.10 to 3.13.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
comma  := ,
# What the tests run with. EXTRAS=dev leaves the export step out: its tests then skip.
EXTRAS ?= dev,cpu,export
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-gpu test-export reliability lint types unit clean

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.base: pyproject.toml $(VENV)/.made
	$(PIP) -e .
	touch $@

STAMP  := $(VENV)/.tests-$(subst $(comma),-,$(EXTRAS))
$(STAMP): pyproject.toml $(VENV)/.made
	$(PIP) -e '.[$(EXTRAS)]'
	touch $@ $(VENV)/.base

demo: $(VENV)/.base  ## install, then the main job once, end to end
	$(BIN)/edge-lvr1 demo

test: $(STAMP) lint types unit  ## install, then everything that must pass

test-export: $(STAMP)  ## the exports that install tools of their own: minutes, gigabytes
	$(BIN)/python -m pytest -m slow_export --timeout 3600

# With EXTRAS=dev,gpu,export, in a VENV of its own: the extras cpu and gpu exclude each other.
test-gpu: $(STAMP)  ## what needs an NVIDIA GPU; skips where there is none
	$(BIN)/python -m pytest -m gpu -s tests/gpu

LONG_TESTS := tests/reliability/test_kills.py tests/reliability/test_filling.py \
	tests/reliability/test_locked_disk.py tests/reliability/test_vanishing.py \
	tests/reliability/test_set_clock.py tests/reliability/test_known_files.py \
	tests/media/test_mutated_files.py tests/daemon/ingest/test_mutated_drop.py \
	tests/daemon/http/test_access_process.py tests/daemon/http/test_openapi.py \
	tests/reliability/test_soak.py

# Two hours on 2 cores; SOAK_MINUTES=3 shortens the last, which takes one of them. The other
# long forms, on archives of weeks and real clips, run with `pytest -m reliability` alone.
reliability: $(STAMP)  ## kills, power cuts, full disks, lost shares, bad files and requests, soaks
	$(BIN)/python -m pytest -m reliability -s --timeout 14400 $(LONG_TESTS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy cannot follow the mapping of daemon/, export/ and systemd/ into the package, so it
# is shown the installed shape: one folder of links.
types: $(STAMP)
	rm -rf build/types && mkdir -p build/types/edge_lvr1
	ln -s $(CURDIR)/edge_lvr1/* $(CURDIR)/daemon $(CURDIR)/export $(CURDIR)/systemd build/types/edge_lvr1/
	MYPYPATH=build/types $(BIN)/mypy -p edge_lvr1

unit: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

clean:
	rm -rf build dist *.egg-info $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
