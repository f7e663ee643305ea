"""Files: strict YAML in, atomic writes out, and one clear message when the disk says no."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from sim2real.errors import Sim2RealError


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, of which YAML silently keeps the last."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "found unhashable key", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        Sim2RealError: The file is missing, unreadable, no YAML, or no mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Sim2RealError(f"cannot read {path}: {_reason(error)}.") from None
    try:
        content = yaml.load(text, _UniqueKeyLoader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise Sim2RealError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise Sim2RealError(f"{path}: expected a mapping of names to values at the top.")
    for key in content:
        if not isinstance(key, str):
            raise Sim2RealError(
                f"{path}: the name {key!r} is not text; put it in quotes (YAML takes on, off, yes and no for true and "
                f"false)."
            )
    return content


def check_plain(value: object, where: str) -> None:
    """Refuse what JSON cannot hold: in YAML that is a date, ``.nan``, ``.inf``, or a name that is not text.

    Args:
        value: Numbers, text, booleans, ``None``, and lists and mappings of such.
        where: What it is, for the message.

    Raises:
        Sim2RealError: There is something else in it.
    """
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise Sim2RealError(f"{where}: the name {key!r} is not text; put it in quotes.")
            check_plain(entry, f"{where}: {key}")
    elif isinstance(value, (list, tuple)):
        for entry in value:
            check_plain(entry, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Sim2RealError(f"{where} = {value!r} must be finite.")
    elif not isinstance(value, (str, int, float, type(None))):
        raise Sim2RealError(f"{where} = {value!r} must be a number, text, true, false or null; put text in quotes.")


def make_folder(path: Path) -> None:
    """Create a folder and its parents.

    Raises:
        Sim2RealError: It cannot be created or written to.
    """
    if path.exists() and not path.is_dir():
        raise Sim2RealError(f"{path} is a file; choose a folder.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: Exception) -> Sim2RealError:
    """Return the error for a path that cannot be written."""
    return Sim2RealError(f"cannot write to {path}: {_reason(error)}; choose another place.")


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old one or the whole new one, also after a crash.

    Raises:
        Sim2RealError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:  # Ctrl-C too must leave nothing beside
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from None
        raise


def is_leftover(path: Path) -> bool:
    """Return whether a file is what a killed :func:`write_atomic` left beside its place."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON atomically, indented."""
    write_atomic(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; a last line cut short by a crash is left out."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return [json.loads(line) for line in lines[:-1]]  # a finished line ends in a newline


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
