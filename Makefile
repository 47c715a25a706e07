# make demo    train, judge, query and export Oct-MobileNetV2 on the digits in demo/
# make test    all tests but the slowest
# make faults  everything that can go wrong, each with what is promised then
# make check   lint and structure
# make fuzz    random and damaged inputs for every reader, half a minute each
# make bench   the speeds that benchmarks/README.md explains
#
# make PADDLE=paddlepaddle-gpu demo    the same with the GPU build of paddle

PYTHON ?= python3
PADDLE ?= paddlepaddle
VENV ?= .venv

.PHONY: demo test faults check fuzz bench

demo: $(VENV)/.ready
	$(VENV)/bin/ppcls demo

test: $(VENV)/.ready-dev
	$(VENV)/bin/python -m pytest -n 2 --dist loadscope

faults: $(VENV)/.ready-dev
	$(VENV)/bin/python -m pytest tests/faults -m ""

check: $(VENV)/.ready-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python -m pytest tests/test_architecture.py

fuzz: $(VENV)/.ready-dev
	PPCLS_FUZZ_SECONDS=30 $(VENV)/bin/python -m pytest tests/fuzz

bench: $(VENV)/.ready-dev
	$(VENV)/bin/python benchmarks/list_index.py
	$(VENV)/bin/python benchmarks/startup.py

$(VENV)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade setuptools $(PADDLE) -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
