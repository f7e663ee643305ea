"""The policy bundle: one zip of JSON and safetensors, read without ever unpickling anything.

``bundle.json`` says what the policy is and holds the checksums of the other members and of itself. They tell a damaged
file from a whole one; they are no signature, since whoever forges a bundle can compute them too. That a stranger's
bundle is safe to open comes from its content: plain data, networks from an allow-list, sizes checked before use.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

import safetensors.numpy
from gymnasium import spaces
from safetensors import SafetensorError

from sim2real.deployment.networks import NetworkSpec
from sim2real.deployment.normalizer import Normalizer
from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.deployment.spaces import number_from_json, number_to_json, space_from_json, space_to_json
from sim2real.domains.channels import Channel
from sim2real.errors import Sim2RealError, check_keys, unknown_name
from sim2real_policies import pretrained_policies

SCHEMA = 1
FILE_NAME = "policy.zip"
"""Name of the bundle in a run folder."""
MAX_BYTES = 1 << 29
"""Largest file that is read, 512 MiB."""

_FORMAT = "sim2real policy bundle"
_JSON, _WEIGHTS, _NORMALIZER = "bundle.json", "weights.safetensors", "normalizer.safetensors"
_KEYS = (
    "format",
    "schema",
    "algorithm",
    "policy",
    "observation_space",
    "action_space",
    "action_scaling",
    *(info.name for info in fields(BundleInfo)),
    "members",
    "digest",
)
_YOUNGER_KEYS = ("privileged_channels",)
"""Younger than the format, and left out where there is nothing to say."""
_DAMAGED = "does not match its checksum; the file is damaged or was altered; copy it again from its source."


def provenance(*, seed: int, steps: int, command: str | None = None) -> dict[str, Any]:
    """Return where something trained comes from: versions, seed, command, steps and the present time (UTC)."""
    versions = {"python": python_version()}
    for name in ("sim2real", "torch", "stable-baselines3", "gymnasium", "numpy", "pybullet"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # run from a source tree, or not needed
            continue
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"versions": versions, "seed": seed, "command": command, "steps": steps, "created": created}


def load_policy(path_or_name: str | Path) -> Policy:
    """Load a policy; safe on files from strangers.

    Args:
        path_or_name: A bundle, a run folder that holds one as ``policy.zip``, or the name of a pretrained policy;
            where both are there, the file or folder is meant.

    Raises:
        Sim2RealError: There is no such file, or it is no whole bundle; the message says which and what to do.
    """
    path = Path(path_or_name).expanduser()
    if path.is_dir():
        if not (path / FILE_NAME).is_file():
            raise Sim2RealError(
                f"{path}: the folder holds no {FILE_NAME}; give a policy bundle or a finished run's folder."
            )
        path /= FILE_NAME
    elif not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise Sim2RealError(f"{path}: no such file; give a policy bundle (policy.zip) or a run folder.")
        pretrained = pretrained_policies()
        if path.name not in pretrained:
            unknown = unknown_name("pretrained policy", path.name, pretrained)
            raise Sim2RealError(f"{unknown} No file or run folder has that name either.")
        return unpack(pretrained[path.name].read_bytes(), path.name)
    elif not path.is_file():
        raise Sim2RealError(f"{path}: not a policy bundle: not a regular file.")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Sim2RealError(f"{path}: not a policy bundle: {size} bytes, more than the {MAX_BYTES} that are read.")
        data = path.read_bytes()
    except OSError as error:
        raise Sim2RealError(f"{path}: cannot read: {error.strerror}.") from error
    return unpack(data, str(path))


def pack(policy: Policy) -> bytes:
    """Return the bundle of a policy; equal policies give equal bytes.

    Raises:
        Sim2RealError: A space cannot be described.
    """
    members = {_WEIGHTS: safetensors.numpy.save(policy.weights)}
    if policy.normalizer is not None:
        members[_NORMALIZER] = safetensors.numpy.save(policy.normalizer.to_tensors())
    info = policy.metadata
    content: dict[str, Any] = {
        "format": _FORMAT,
        "schema": SCHEMA,
        "algorithm": policy.algo,
        "policy": {"class": policy.network.policy, "kwargs": dict(policy.network.kwargs)},
        "observation_space": space_to_json(policy.observation_space),
        "action_space": space_to_json(policy.action_space),
        "action_scaling": _action_scaling(policy),
        **{part.name: getattr(info, part.name) for part in fields(info)},
        "observation_channels": _channels_to_json(info.observation_channels),
        "action_channels": _channels_to_json(info.action_channels),
        "privileged_channels": _channels_to_json(info.privileged_channels),
        "members": {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in members.items()},
    }
    content = {key: value for key, value in content.items() if value is not None or key not in _YOUNGER_KEYS}
    content["digest"] = _digest(content)
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {_JSON: text.encode(), **members}.items():
            entry = zipfile.ZipInfo(name)  # its fixed date keeps the bytes the same
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def unpack(data: bytes, source: str) -> Policy:
    """Rebuild the policy from the bytes of its bundle; nothing in them is trusted.

    Args:
        data: The whole bundle.
        source: Its file, for messages.

    Raises:
        Sim2RealError: The bytes are no whole bundle; the message begins with ``source`` and says what is wrong.
    """
    try:
        members = _members(data, source)
        content = _content(members, source)
        return _policy(content, members)
    except RecursionError:
        raise Sim2RealError(f"{source}: not a policy bundle: {_JSON} is nested too deeply.") from None
    except Sim2RealError as error:
        text = str(error)
        prefix = f"{source}: "
        raise Sim2RealError(text if text.startswith(prefix) else prefix + text) from None


def _members(data: bytes, source: str) -> dict[str, bytes]:
    """Return the members of the zip, each within the limits."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, OverflowError):
        what = "truncated zip; copy it again from its source" if data.startswith(b"PK\x03\x04") else "not a zip file"
        raise Sim2RealError(f"not a policy bundle: {what}.") from None
    names = [entry.filename for entry in entries]
    if "data" in names and "policy.pth" in names:
        raise Sim2RealError(
            "this is a Stable-Baselines3 zip, not a policy bundle; convert it, if you trust it (SB3 unpickles), with "
            f"sim2real.deployment.sb3.from_sb3_zip({source!r}).save('policy.zip')."
        )
    required, allowed = {_JSON, _WEIGHTS}, {_JSON, _WEIGHTS, _NORMALIZER}
    if len(names) != len(set(names)) or not required <= set(names) <= allowed:
        listed = ", ".join(sorted(names)[:5]) or "nothing"
        raise Sim2RealError(
            f"not a policy bundle: it holds {listed}; expected {_JSON}, {_WEIGHTS} and {_NORMALIZER} only."
        )
    members = {}
    for entry in entries:
        # Stored, never compressed: no member can grow beyond the file itself.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data):
            raise Sim2RealError(
                f"not a policy bundle: {entry.filename} is compressed; members must be stored as they are."
            )
        try:
            members[entry.filename] = archive.read(entry)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError):
            raise Sim2RealError(f"{entry.filename} {_DAMAGED}") from None
    return members


def _content(members: Mapping[str, bytes], source: str) -> dict[str, Any]:
    """Return ``bundle.json``, its checksums verified."""
    try:
        content = json.loads(members[_JSON].decode(), parse_constant=_refuse_constant)
    except ValueError:
        raise Sim2RealError(f"not a policy bundle: {_JSON} is not valid JSON.") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise Sim2RealError(f"not a policy bundle: {_JSON} does not say so.")
    if content.get("schema") != SCHEMA:
        raise Sim2RealError(
            f"bundle schema {content.get('schema')!r} is unknown, this version reads schema {SCHEMA}; upgrade sim2real."
        )
    check_keys(content, _KEYS, f"{source}: {_JSON}")
    missing = [key for key in _KEYS if key not in content and key not in _YOUNGER_KEYS]
    if missing:
        raise Sim2RealError(f"{_JSON} lacks {', '.join(missing)}.")
    if content["digest"] != _digest(content):
        raise Sim2RealError(f"{_JSON} {_DAMAGED}")
    listed = content["members"]
    if not isinstance(listed, dict) or {_JSON, *listed} != set(members):
        raise Sim2RealError(f"{_JSON} lists other members than the bundle holds; the file was altered.")
    for name, facts in listed.items():
        if facts != {"sha256": _sha256(members[name]), "bytes": len(members[name])}:
            raise Sim2RealError(f"{name} {_DAMAGED}")
    return content


def _policy(content: Mapping[str, Any], members: Mapping[str, bytes]) -> Policy:
    network = content["policy"]
    check_keys(network, ("class", "kwargs"), "policy")
    if not isinstance(network.get("kwargs"), dict):
        raise Sim2RealError("policy: kwargs must be a mapping.")
    tensors = {name: _tensors(data, name) for name, data in members.items() if name != _JSON}
    infos: dict[str, Any] = {part.name: content.get(part.name) for part in fields(BundleInfo)}
    for kind in ("observation_channels", "action_channels", "privileged_channels"):
        infos[kind] = _channels_from_json(infos[kind], kind)
    policy = Policy(
        NetworkSpec(algo=content["algorithm"], policy=network.get("class", ""), kwargs=network["kwargs"]),
        space_from_json(content["observation_space"], "observation_space"),
        space_from_json(content["action_space"], "action_space"),
        tensors[_WEIGHTS],
        normalizer=Normalizer.from_tensors(tensors[_NORMALIZER]) if _NORMALIZER in tensors else None,
        metadata=BundleInfo(**infos),
    )
    if content["action_scaling"] != _action_scaling(policy):
        raise Sim2RealError(f"action_scaling = {content['action_scaling']!r} is not how such a policy acts.")
    return policy


def _tensors(data: bytes, name: str) -> dict[str, Any]:
    try:
        return dict(safetensors.numpy.load(data))
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        raise Sim2RealError(f"{name} is not a valid safetensors file.") from None


def _action_scaling(policy: Policy) -> str:
    """Say how the networks' output becomes an action, for readers of the bundle that do not use this library."""
    if not isinstance(policy.action_space, spaces.Box):
        return "none"
    return "tanh to bounds" if policy.module.squash_output else "clip to bounds"


_YOUNGER = ("sampled", "of_body")
"""Of a channel; younger than the format, and left out where they are false."""


def _channels_to_json(channels: tuple[Channel, ...] | None) -> list[dict[str, Any]] | None:
    if channels is None:
        return None
    rows = [{name: number_to_json(value) for name, value in asdict(channel).items()} for channel in channels]
    return [{k: v for k, v in row.items() if v or k not in _YOUNGER} for row in rows]


def _channels_from_json(plain: object, where: str) -> tuple[Channel, ...] | None:
    if plain is None:
        return None
    if not isinstance(plain, list):
        raise Sim2RealError(f"{where}: expected a list of channels.")
    names = [part.name for part in fields(Channel) if part.name not in _YOUNGER]
    channels = []
    for row in plain:
        check_keys(row, (*names, *_YOUNGER), where)
        if not set(names) <= set(row) or not isinstance(row["width"], int) or isinstance(row["width"], bool):
            raise Sim2RealError(f"{where}: each channel needs {', '.join(names)}, with a whole width.")
        numbers: dict[str, Any] = {
            name: float(number_from_json(row[name], f"{where}: {name}")) for name in ("low", "high", "noise")
        }
        flags: dict[str, Any] = {name: row.get(name, False) for name in _YOUNGER}
        for name, flag in flags.items():
            if not isinstance(flag, bool):
                raise Sim2RealError(f"{where}: {name} = {flag!r} must be true or false.")
        name, unit = str(row["name"]), str(row["unit"])
        channels.append(Channel(name=name, width=row["width"], unit=unit, **flags, **numbers))
    return tuple(channels)


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "digest"}
    return _sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
