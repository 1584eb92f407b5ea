# Each target sets itself up; only Python 3.11 to 3.13 and make are needed.
PYTHON ?= python3
INSTALLED = .venv/installed
# Three workers keep two cores busy, since some tests wait for processes of
# theirs: the first worker begins with these. Each has a third of the tests at
# first, so that what the tests of a file share is mostly made once.
WORKERS ?= -n 3 --dist worksteal

.PHONY: install train experiment test quick check format same pages docs clean

install: $(INSTALLED)

train: $(INSTALLED)
	.venv/bin/python train.py $(FLAGS)

# NAME is that of a file in experiments/, such as bundles/fnn_10_50.
experiment: $(INSTALLED)
	.venv/bin/python -m experiments.run $(NAME) $(FLAGS)

test: check
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python -m pytest $(WORKERS) $(TESTS)

# What needs neither training nor TensorFlow, in less than a minute.
quick: check
	.venv/bin/python -m pytest --quick --quiet $(TESTS)

check: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: $(INSTALLED)
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# BASE is a revision: that this tree does what it did, to the last bit.
same: $(INSTALLED)
	.venv/bin/python -m tools.same --base=$(BASE) $(FLAGS)

# Pictures of the pages of runs and sweeps, in pages/. Needs Chromium.
pages: $(INSTALLED)
	.venv/bin/python -m tools.pages

# The site, in build/site/. It runs the notebooks, which takes a few minutes;
# FLAGS="-D nb_execution_mode=off" builds it without their outputs.
docs: $(INSTALLED)
	.venv/bin/python -m sphinx --fail-on-warning --keep-going --nitpicky \
		--fresh-env -c docs -d build/doctrees $(FLAGS) . build/site

$(INSTALLED): requirements.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet -r requirements.txt
	touch $@

clean:
	rm -rf .venv
