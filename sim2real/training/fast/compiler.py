"""Compilation of an update, with a cache that outlives the process and a way out where there is no compiler."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_CACHE = "TORCHINDUCTOR_CACHE_DIR"
_STRUCTURES = 256
"""How many updates of different structure a process may compile: to torch they are one function."""


class Compiled:
    """A function that is compiled at its first call, and called as it is if that fails.

    Args:
        function: Tensors in, tensors out; it may change its arguments in place.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        # The default of torch lies in the temporary folder, which a reboot empties.
        os.environ.setdefault(_CACHE, str(Path.home() / ".cache" / "sim2real" / "inductor"))
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _STRUCTURES)
        self._function = function
        # What calls the kernels in C++ takes a tenth less time; with a GPU it would want CUDA's toolkit.
        options: dict[str, Any] = {"size_asserts": False, "cpp_wrapper": not torch.cuda.is_available()}
        self._compiled: Callable[..., Any] | None = torch.compile(
            function, fullgraph=True, dynamic=False, options=options
        )
        self._proven = False

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        if self._compiled is None:
            return self._function(*arguments)
        if self._proven:
            return self._compiled(*arguments)
        try:
            result = self._compiled(*arguments)
        except Exception as error:  # the compiler, the linker and the disk each raise their own; none has run a step
            self._compiled = None
            # The first line names the compiler's back end, the second what went wrong in it.
            reason = " ".join(str(error).split("\n")[:2]).strip() or type(error).__name__
            warnings.warn(f"learning goes on uncompiled, more slowly: {reason}", stacklevel=2)
            return self._function(*arguments)
        self._proven = True
        return result
