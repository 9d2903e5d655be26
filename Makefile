# Two commands matter: `make book` and `make test`. Both create .venv and install everything the first time.
# Nothing but Python 3.11 or newer is needed:  make book PYTHON=python3.12

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= auto
# The CPU build of torch is a tenth of the size of the default one. If this index cannot be reached, the default is taken.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := $(abspath $(VENV))/bin
STAMP := $(VENV)/.installed
HTML := _build/html/index.html
PDF := _build/fixed-points-in-time.pdf
TEX_TOOLS := xelatex latexmk xindy rsvg-convert pdftotext
TEX_PACKAGES := texlive-xetex texlive-latex-extra texlive-fonts-recommended texlive-fonts-extra latexmk xindy fonts-dejavu-core librsvg2-bin poppler-utils
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg --nbval-cell-timeout 300 -p nbval -p no:cacheprovider
export JUPYTER_PLATFORM_DIRS := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

# $(call timed,what,command): run a step and say how long it took.
timed = start=$$(date +%s); echo "== $(1)"; $(2); echo "== $(1): $$(( $$(date +%s) - start )) s"

.PHONY: help install book pdf test lint unit nbval html built notebooks lock clean

help:
	@echo "make book       build the book strictly and print where it is"
	@echo "make pdf        the PDF edition, checked against the numbers of the web edition (needs TeX; says what to install)"
	@echo "make test       everything a change has to pass: lint, unit tests, notebooks, strict book, links, theorem lock"
	@echo "make notebooks  re-run every notebook and store its outputs (NB=path for one)"
	@echo "make lint       ruff and codespell"
	@echo "make lock       accept the present numbers of theorems and equations as the published ones"
	@echo "make clean      remove built files (the environment stays)"

install: $(STAMP)

$(STAMP): requirements.lock requirements-conformance.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(call timed,install,\
	  $(BIN)/python -m pip install -q --no-deps --retries 0 --index-url $(TORCH_INDEX) "$$(grep '^torch==' requirements.lock)" 2>/dev/null \
	    || echo "   (no CPU build of torch at $(TORCH_INDEX): taking the default one)"; \
	  $(BIN)/python -m pip install -q -r requirements.lock; \
	  $(BIN)/python -m pip install -q --no-deps -r requirements-conformance.lock; \
	  $(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .)
	@touch $(STAMP)

book: $(STAMP) html
	@echo "The book: file://$(abspath $(HTML))"

# Old pages are removed first: a warning of an unchanged page would otherwise not be repeated, and a strict build pass by luck.
html: $(STAMP)
	@rm -rf _build/html _build/.doctrees
	@$(call timed,strict book build,$(BIN)/jupyter-book build --quiet --warningiserror --keep-going .)

# Own folder, so that pages prepared for LaTeX are never taken for pages of the web edition. An error of TeX leaves no PDF.
pdf: $(STAMP)
	@missing=""; for tool in $(TEX_TOOLS); do command -v $$tool > /dev/null || missing="$$missing $$tool"; done; \
	  test -z "$$missing" || { echo "make pdf needs:$$missing. On Debian or Ubuntu:"; echo "  sudo apt-get install --no-install-recommends $(TEX_PACKAGES)"; exit 1; }
	@rm -rf _build/pdf $(PDF) && mkdir -p _build/pdf
	@$(call timed,PDF,LATEXMKOPTS="-interaction=nonstopmode -halt-on-error" $(BIN)/jupyter-book build --quiet --warningiserror --keep-going \
	  --builder pdflatex --path-output _build/pdf . > _build/pdf/build.log 2>&1 < /dev/null \
	  && cp _build/pdf/_build/latex/$(notdir $(PDF)) $(PDF) || { tail -n 40 _build/pdf/build.log; exit 1; })
	@$(BIN)/python book/_tools/check_pdf.py $(PDF)

lint: $(STAMP)
	@$(call timed,lint,$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell)

# One worker a core, one thread a worker: two threads on one core only wait for each other.
unit: $(STAMP)
	@$(call timed,unit tests,OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not built" -n $(WORKERS) --dist worksteal --cov --cov-report=term --durations=15)

# A notebook's cells stay together on one worker, in order: loadscope.
nbval: $(STAMP)
	@$(call timed,notebooks re-run and compared,OMP_NUM_THREADS=1 $(BIN)/python -m pytest -o addopts="" -q $(NBVAL) -n $(WORKERS) --dist loadscope --durations=15 notebooks/)

# Reads what `html` wrote: links, anchors, alt texts, numbers of theorems.
built: $(STAMP)
	@$(call timed,built pages,$(BIN)/python -m pytest -m built tests/test_links.py tests/test_theorem_lock.py)

test: $(STAMP)
	@$(call timed,make test,$(MAKE) --no-print-directory lint unit nbval html built)
	@echo "All tests passed. The book: file://$(abspath $(HTML))"

notebooks: $(STAMP)
	@$(call timed,notebooks,$(BIN)/python book/_tools/notebooks.py execute $(NB))

lock: html
	@cp _build/html/theorems.json book/theorems.json
	@echo "book/theorems.json now holds the numbers of this build. Name what moved, and why, in CHANGELOG.md."

clean:
	rm -rf _build .pytest_cache .ruff_cache .coverage htmlcov
