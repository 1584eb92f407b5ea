# Each target sets itself up; only Python 3.11 or newer and make are needed.
PYTHON ?= python3
INSTALLED = .venv/installed
# Most tests wait for one core at a time.
WORKERS ?= -n 2

.PHONY: train experiment test check clean

train: $(INSTALLED)
	.venv/bin/python train.py $(FLAGS)

# NAME is that of a file in experiments/, such as bundles/fnn_10_50.
experiment: $(INSTALLED)
	.venv/bin/python -m experiments.run $(NAME) $(FLAGS)

test: check
	TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python -m pytest $(WORKERS) $(TESTS)

check: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

$(INSTALLED): requirements.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet -r requirements.txt
	touch $@

clean:
	rm -rf .venv
