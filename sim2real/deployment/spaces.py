"""Gymnasium spaces as plain JSON, and back: what a policy bundle says about its observations and actions."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sim2real.errors import Sim2RealError, check_keys, unknown_name

MAX_NUMBERS = 1_000_000
"""Largest space that is read: a stranger's file must not be able to ask for all memory."""

_DTYPES = ("float32", "float64", "uint8", "int8", "int16", "int32", "int64")
_FIELDS = {
    "Box": ("shape", "dtype", "low", "high"),
    "Discrete": ("n", "start"),
    "MultiBinary": ("n",),
    "MultiDiscrete": ("nvec",),
    "Dict": ("spaces",),
}


def number_to_json(value: float | str) -> float | str:
    """Return a value as JSON holds it: infinities, which JSON lacks, as ``"inf"`` and ``"-inf"``."""
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def number_from_json(value: object, where: str) -> float:
    """Return the number that :func:`number_to_json` wrote.

    Raises:
        Sim2RealError: It is no number.
    """
    if isinstance(value, str) and value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise Sim2RealError(f"{where} = {value!r} must be a number.")
    return value


def space_to_json(space: spaces.Space[Any]) -> dict[str, Any]:
    """Describe a space as plain JSON.

    Raises:
        Sim2RealError: The space is of a kind that policies here do not read or write.
    """
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": space.dtype.name,
            "low": _bounds_to_json(space.low),
            "high": _bounds_to_json(space.high),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any():
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist()}
    if isinstance(space, spaces.Dict):
        if any(isinstance(part, spaces.Dict) for part in space.values()):
            raise Sim2RealError("nested Dict spaces are not supported; flatten the inner Dict into the outer one.")
        # A list of pairs, because the networks join the parts in this order.
        return {"type": "Dict", "spaces": [[key, space_to_json(part)] for key, part in space.items()]}
    raise Sim2RealError(
        f"space {space} is not supported; use Box, Discrete, MultiBinary, MultiDiscrete or a Dict of them."
    )


def _bounds_to_json(bounds: NDArray[Any]) -> Any:
    numbers = [number_to_json(value) for value in bounds.ravel().tolist()]
    return numbers[0] if numbers and all(number == numbers[0] for number in numbers) else numbers


def space_from_json(plain: object, where: str) -> spaces.Space[Any]:
    """Rebuild the space that :func:`space_to_json` described; nothing in ``plain`` is trusted.

    Args:
        plain: What was read.
        where: Its place in the file, for messages.

    Raises:
        Sim2RealError: It does not describe a space, or describes one of more than :data:`MAX_NUMBERS` numbers.
    """
    if not isinstance(plain, Mapping) or "type" not in plain:
        raise Sim2RealError(f"{where}: expected the description of a space with a 'type'.")
    kind = str(plain["type"])
    if kind not in _FIELDS:
        raise unknown_name("space type", kind, _FIELDS)
    check_keys(plain, ("type", *_FIELDS[kind]), where)
    for field in _FIELDS[kind]:
        if field not in plain:
            raise Sim2RealError(f"{where}: {field!r} is missing.")
    if kind == "Box":
        return _box(plain, where)
    if kind == "Discrete":
        start = plain["start"]
        if isinstance(start, bool) or not isinstance(start, int) or abs(start) > MAX_NUMBERS:
            raise Sim2RealError(f"{where}: start = {start!r} must be an integer.")
        return spaces.Discrete(_size(plain["n"], f"{where}: n"), start=start)
    if kind == "MultiBinary":
        n = plain["n"]
        return spaces.MultiBinary(_shape(n, where) if isinstance(n, list) else _size(n, f"{where}: n"))
    if kind == "MultiDiscrete":
        nvec = plain["nvec"]
        if not isinstance(nvec, list) or not nvec or len(nvec) > MAX_NUMBERS:
            raise Sim2RealError(f"{where}: nvec must be a list of sizes.")
        return spaces.MultiDiscrete([_size(n, f"{where}: nvec") for n in nvec])
    return _dict(plain["spaces"], where)


def _box(plain: Mapping[str, Any], where: str) -> spaces.Box:
    dtype = plain["dtype"]
    if dtype not in _DTYPES:
        raise unknown_name("dtype", dtype, _DTYPES)
    shape = _shape(plain["shape"], where)
    low, high = (_bounds_from_json(plain[side], shape, dtype, f"{where}: {side}") for side in ("low", "high"))
    if not np.all(low <= high):
        raise Sim2RealError(f"{where}: low is above high.")
    return spaces.Box(low, high, dtype=np.dtype(dtype).type)


def _bounds_from_json(plain: object, shape: tuple[int, ...], dtype: str, where: str) -> NDArray[Any]:
    size = math.prod(shape)
    numbers = plain if isinstance(plain, list) else [plain] * size
    if len(numbers) != size:
        raise Sim2RealError(f"{where} has {len(numbers)} numbers, its shape {list(shape)} needs {size}.")
    values = [number_from_json(number, where) for number in numbers]
    try:
        return np.array(values, dtype=dtype).reshape(shape)
    except (OverflowError, ValueError) as error:
        raise Sim2RealError(f"{where} does not fit {dtype}: {error}") from None


def _dict(pairs: object, where: str) -> spaces.Dict:
    if not isinstance(pairs, list) or not pairs:
        raise Sim2RealError(f"{where}: spaces must be a list of [key, space] pairs.")
    parts: OrderedDict[str, spaces.Space[Any]] = OrderedDict()
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in parts:
            raise Sim2RealError(f"{where}: spaces must be a list of [key, space] pairs with distinct keys.")
        key, part = pair
        if isinstance(part, Mapping) and part.get("type") == "Dict":
            raise Sim2RealError(f"{where}: nested Dict spaces are not supported.")
        parts[key] = space_from_json(part, f"{where}[{key!r}]")
    return spaces.Dict(parts)


def _shape(plain: object, where: str) -> tuple[int, ...]:
    if not isinstance(plain, list) or len(plain) > 32:
        raise Sim2RealError(f"{where}: shape = {plain!r} must be a list of sizes.")
    shape = tuple(_size(number, f"{where}: shape") for number in plain)
    _size(math.prod(shape), f"{where}: shape")
    return shape


def _size(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_NUMBERS:
        raise Sim2RealError(f"{where} = {value!r} must be a whole number from 1 to {MAX_NUMBERS}.")
    return value
