"""Puts the generated contract into wheels and source distributions. It lies outside of this folder, beside that of the other
languages; an editable install finds it there, so that what is generated again is used at once."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            contract = Path(self.root, "..", "..", "gen", "python", "loop_contract").resolve()
            if not contract.exists():  # the source distribution has it beside this file
                contract = Path(self.root, "loop_contract")
            build_data["force_include"][str(contract)] = "loop_contract"
