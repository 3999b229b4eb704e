# Two commands: `make run` and `make test`. Both set up everything they need in .venv.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := historian storage_engine connectors query api
NATIVE := $(shell find $(PACKAGES) -name '*.pyx' -o -name '*.pxd' -o -name '*.h' 2>/dev/null)
# Test files share nothing but the machine.
WORKERS ?= 2
export HISTORIAN_DATA ?= $(abspath ../shared/data)

.PHONY: run test test-all check lint types bench wheel debug golden clean system

run: $(VENV)/.built
	$(BIN)/historian serve --config historian/demo.toml

test: $(VENV)/.tested-with system
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile

test-all: $(VENV)/.tested-with system
	$(BIN)/python -m pytest --timeout 3600

check: lint types test wheel

lint: $(VENV)/.tested-with
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint $(shell find $(PACKAGES) -name '*.pyx' -o -name '*.pxd')

types: $(VENV)/.tested-with
	$(BIN)/mypy

# Rivals are in an environment of their own, over the rooms compiled in place; what is dear to make
# is kept in HISTORIAN_BENCH_DIR.
# BENCH="sizes queries" chooses; `python -m benchmarks --help` names them.
bench: $(VENV)-bench/.made
	$(VENV)-bench/bin/python -m benchmarks $(BENCH)

$(VENV)-bench/.made: $(VENV)/.built
	[ -d $(VENV)-bench ] || $(BIN)/python -m venv $(VENV)-bench
	$(BIN)/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	  print(*p['dependencies'], *p['optional-dependencies']['bench'], sep='\n')" > $(VENV)-bench/wanted.txt
	$(VENV)-bench/bin/python -m pip install -q --disable-pip-version-check -r $(VENV)-bench/wanted.txt
	$(VENV)-bench/bin/python -m pip install -q --disable-pip-version-check --no-deps "pysparkplug>=0.6,<0.7"
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
	  > "$$($(VENV)-bench/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/behind.pth"
	touch $@

# The wheel is built, installed alone into an environment of its own, and tested from outside the checkout.
wheel: $(VENV)/.tested-with
	$(BIN)/python tests/house/wheel_check.py

# Stores of this version's formats, as the next numbered directory; existing ones are never touched.
golden: $(VENV)/.tested-with
	$(BIN)/python tests/golden/write.py

debug: $(VENV)/.tested-with
	HISTORIAN_BUILD=debug $(BIN)/python setup.py -q build_ext --inplace --force
	$(BIN)/python -m pytest -m "not slow" tests/storage_engine
	$(BIN)/python setup.py -q build_ext --inplace --force

# Parts that tests use when they are there: a broker, a browser, strace. Without them the embedded
# broker is used, and the tests of pages and of system calls say what is missing.
system:
	@for p in mosquitto chromium strace; do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    (apt-get update -q && apt-get install -y -q --no-install-recommends $$missing) >/dev/null 2>&1 \
	      && (service mosquitto stop >/dev/null 2>&1; true) \
	      || echo "could not install:$$missing"; \
	  else echo "for the whole test install:$$missing"; fi; \
	fi

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "cannot set up: got no Python 3.11 or newer, want one on PATH"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.tools: $(VENV)/bin/python pyproject.toml setup.py
	$(BIN)/python -m pip install -q --disable-pip-version-check -U "pip>=24" "setuptools>=77" "cython>=3.1,<4"
	touch $@

$(VENV)/.compiled: $(VENV)/.tools $(NATIVE)
	$(BIN)/python setup.py -q build_ext --inplace -j2
	touch $@

# The editable install finds the rooms compiled in place and does not compile them again.
$(VENV)/.built: $(VENV)/.compiled pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e .
	touch $@

$(VENV)/.tested-with: $(VENV)/.built
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -e ".[dev]"
	touch $@

clean:
	rm -rf build dist *.egg-info $(VENV) $(VENV)-bench
	find $(PACKAGES) -name '*.so' -delete
	find $(PACKAGES) -name '*.c' -delete
