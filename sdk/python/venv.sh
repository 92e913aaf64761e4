#!/usr/bin/env bash
# Makes .venv at the root of the repository: the SDK, the plugins of plugins/examples and what generates and tests them, from
# PyPI. Without a Python that is new enough it says so in one sentence and makes nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python3.10; do
	if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; then
		rm -rf .venv
		"$python" -m venv .venv
		.venv/bin/pip install --quiet --disable-pip-version-check -r sdk/python/requirements-dev.txt
		# --no-build-isolation: the requirements hold the build backend, and one download is enough.
		.venv/bin/pip install --quiet --disable-pip-version-check --no-build-isolation \
			-e sdk/python $(for project in plugins/examples/python-*/; do printf " -e %s" "$project"; done)
		touch .venv/ready
		exit 0
	fi
done
echo 'Python is left out: no Python 3.10 or later with venv is installed; install one (on Debian: python3 and python3-venv), then run make test-python.' >&2
