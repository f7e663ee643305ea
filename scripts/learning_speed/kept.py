"""What takes long is kept as soon as it is over, so that a run that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim2real.files import write_json


class Kept:
    """Results by name, in a file.

    Args:
        file: Where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __getitem__(self, name: str) -> Any:
        return self._found[name]

    def __setitem__(self, name: str, result: Any) -> None:
        self._found[name] = result
        write_json(self._file, self._found)

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the result of a name, made if it is not there yet; JSON-plain."""
        if name not in self:
            self[name] = make()
        return self[name]
