"""Runs the conformance suite on the plugin as it is installed, with networks of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parents[4] / "bin" / "conformance"


@pytest.mark.parametrize("transport", [[], ["--grpc"]], ids=["loop/1", "grpc"])
def test_conformance(transport: list[str]) -> None:
    if not SUITE.exists():
        pytest.skip("bin/conformance is not there: run make build")
    plugin = Path(sys.executable).with_name("loop-twap")
    command = [str(SUITE), "--patience", "10", "--kind", "product", *transport, "--", str(plugin)]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert judged.returncode == 0, judged.stdout[-5000:] + judged.stderr
