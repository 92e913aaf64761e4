"""Runs the commands of the Python tutorial in docs/plugins.md, in the order of the page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_tutorial(tmp_path: Path) -> None:
    programs = ("loop", "loop-median", "loop-evm", "devnet", "conformance")
    if not all((ROOT / "bin" / name).exists() for name in programs):
        pytest.skip("bin/ is not built: run make build")
    for name in ("bin", "gen", "plugins", "sdk", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    _, _, python = (ROOT / "docs" / "plugins.md").read_text().partition("\n## Python\n")
    blocks = re.findall(r"```sh\n(.*?)```", python.partition("\n## ")[0], re.DOTALL)
    assert len(blocks) >= 4, "the tutorial has lost its commands"
    for block in blocks:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
