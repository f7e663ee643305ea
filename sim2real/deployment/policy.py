"""A trained policy: its networks, its normalizer and where it comes from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.vec_env import VecTransposeImage, unwrap_vec_wrapper

from sim2real.deployment.asymmetric import privileged_scale
from sim2real.deployment.fit import check_fits
from sim2real.deployment.networks import NetworkSpec, build, describe
from sim2real.deployment.normalizer import Normalizer, Observation
from sim2real.deployment.pictures import channels_first, channels_last, is_picture, turn
from sim2real.domains.channels import Channel, element_name
from sim2real.domains.contract import Interface
from sim2real.errors import Sim2RealError
from sim2real.files import write_atomic

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecNormalize

LOG_ENT_COEF = "log_ent_coef"
"""Name of SAC's entropy coefficient (its logarithm) among the weights."""


@dataclass(frozen=True, kw_only=True)
class BundleInfo:
    """What a policy's bundle says besides networks and spaces; every mapping is JSON-plain."""

    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """What the learner was given."""
    observation_channels: tuple[Channel, ...] | None = None
    """Names, units and bounds of the observation's numbers."""
    action_channels: tuple[Channel, ...] | None = None
    """Names, units and bounds of the action's numbers."""
    privileged_channels: tuple[Channel, ...] | None = None
    """Those of what asymmetric critics read; ``None`` where the critics read the observation."""
    world: Mapping[str, Any] | None = None
    """Recipe of the source env: id, kwargs, …"""
    domains: Mapping[str, Any] | None = None
    """Distribution over source domains that training drew from."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Versions, seed, command, steps, created."""

    def __post_init__(self) -> None:
        for name in ("hyperparameters", "world", "domains", "provenance"):
            value = getattr(self, name)
            try:
                plain = json.loads(json.dumps(value, allow_nan=False))
            except (TypeError, ValueError) as error:
                raise Sim2RealError(f"{name} must be JSON-plain to be stored with a policy: {error}.") from None
            if not isinstance(plain, dict) and not (plain is None and name in ("world", "domains")):
                raise Sim2RealError(f"{name} must be a mapping, got {value!r}.")
            object.__setattr__(self, name, plain)
        for name in ("observation_channels", "action_channels", "privileged_channels"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))


class Policy:
    """A policy that acts, is saved, is checked against an env and is handed to a learner.

    It lives on the CPU and is immutable: learning goes on in an SB3 model, see :meth:`copy_into`.

    Args:
        network: How its networks are built.
        observation_space: What it reads, before normalisation: the env's own, with the channels of pictures first or
            last. It acts on pictures in either order, as in SB3.
        action_space: What it returns.
        weights: Every tensor of its networks by name (critics and targets too), and ``log_ent_coef`` for SAC and TQC.
        normalizer: Applied to each observation, if any.
        metadata: Where it comes from.

    Raises:
        Sim2RealError: The weights do not fill the networks exactly, or the parts do not fit each other.
    """

    def __init__(
        self,
        network: NetworkSpec,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        weights: Mapping[str, NDArray[np.float32]],
        *,
        normalizer: Normalizer | None = None,
        metadata: BundleInfo | None = None,
    ) -> None:
        self.network = network
        self.observation_space = observation_space
        self.action_space = action_space
        self.normalizer = normalizer
        self.metadata = metadata if metadata is not None else BundleInfo()
        if normalizer is not None:
            normalizer.check_fits(channels_first(observation_space))

        count = sum(array.size for array in weights.values())
        self.module = build(network, observation_space, action_space, count)
        self.log_ent_coef: float | None = None
        expected = {name: tuple(tensor.shape) for name, tensor in self.module.state_dict().items()}
        if LOG_ENT_COEF in weights and network.algo in ("sac", "tqc"):
            expected[LOG_ENT_COEF] = (1,)
            self.log_ent_coef = float(weights[LOG_ENT_COEF].ravel()[0])
        _check_weights(weights, expected)
        self.module.load_state_dict({name: torch.tensor(weights[name]) for name in expected if name != LOG_ENT_COEF})
        scale = privileged_scale(self.module)
        if scale is not None:
            scale.check()
        if network.use_sde:
            with torch.random.fork_rng(devices=[]):
                self.module.reset_noise()  # type: ignore[operator]  # drawn for the weights it was built with
        self._mean = _mean_action(network, self.module)

    def described(self, metadata: BundleInfo) -> Policy:
        """Return the same policy with another description."""
        return Policy(
            self.network,
            self.observation_space,
            self.action_space,
            self.weights,
            normalizer=self.normalizer,
            metadata=metadata,
        )

    @property
    def algo(self) -> str:
        """``"ppo"``, ``"sac"``, ``"td3"`` or ``"tqc"``."""
        return self.network.algo

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """A copy of every tensor by name, as the constructor takes them."""
        weights = {name: tensor.detach().numpy().copy() for name, tensor in self.module.state_dict().items()}
        if self.log_ent_coef is not None:
            weights[LOG_ENT_COEF] = np.array([self.log_ent_coef], dtype=np.float32)
        return weights

    @classmethod
    def from_sb3(
        cls, model: BaseAlgorithm, *, vec_normalize: VecNormalize | None = None, info: BundleInfo | None = None
    ) -> Policy:
        """Copy the policy out of an SB3 model.

        Args:
            model: A PPO, SAC, TD3 or TQC with ``MlpPolicy``, ``CnnPolicy`` or ``MultiInputPolicy``. The observation
                space is that of its env where it has one; SB3 turns pictures channels first.
            vec_normalize: Its normalizer; the one round the model's env by default.
            info: What to say about it.

        Raises:
            Sim2RealError: The model is of another kind, or a weight is not finite.
        """
        vec_normalize = vec_normalize if vec_normalize is not None else model.get_vec_normalize_env()
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in model.policy.state_dict().items()}
        entropy = getattr(model, "log_ent_coef", None)
        if entropy is not None:
            weights[LOG_ENT_COEF] = entropy.detach().cpu().numpy()
        return cls(
            describe(model),
            _own_space(model, vec_normalize),
            model.action_space,
            weights,
            normalizer=Normalizer.from_vec_normalize(vec_normalize) if vec_normalize is not None else None,
            metadata=info,
        )

    def copy_into(self, model: BaseAlgorithm) -> None:
        """Give an SB3 model these weights, and optimizers that remember nothing, so that it can be fine-tuned.

        The learning rate stays the model's own. The normalizer is carried apart:
        ``policy.normalizer.into_vec_normalize(vec)``.

        Args:
            model: Of the same algorithm, spaces and networks: give it ``policy_kwargs=policy.network.policy_kwargs``.

        Raises:
            Sim2RealError: The model differs.
        """
        other = describe(model)
        if (other.algo, other.policy) != (self.algo, self.network.policy):
            raise Sim2RealError(
                f"cannot copy a {self.algo} {self.network.policy} into a {other.algo} {other.policy}; "
                f"build the model with algo {self.algo!r}."
            )
        self.check_fits(model.observation_space, model.action_space)
        own = self.module.state_dict()
        shapes = {name: tensor.shape for name, tensor in own.items()}
        if {name: tensor.shape for name, tensor in model.policy.state_dict().items()} != shapes:
            raise Sim2RealError(f"the model's networks differ: {_differences(other, self.network)}.")
        model.policy.load_state_dict(own)
        self.copy_entropy_into(model)
        for holder in (model, model.policy, getattr(model, "actor", None), getattr(model, "critic", None)):
            for name in ("optimizer", "ent_coef_optimizer"):
                optimizer = getattr(holder, name, None)
                if optimizer is not None:
                    optimizer.state = defaultdict(dict)

    def copy_entropy_into(self, model: BaseAlgorithm) -> None:
        """Give an SB3 model that tunes its entropy coefficient the one that these networks were trained to."""
        entropy = getattr(model, "log_ent_coef", None)
        if entropy is not None and self.log_ent_coef is not None:
            entropy.data.fill_(self.log_ent_coef)

    def predict(self, observation: Any, deterministic: bool = True) -> NDArray[Any]:
        """Return the action for an observation, or the actions for a batch of them.

        Args:
            observation: As the env returns it, not normalised: of the observation space's shape, or with one more
                axis in front for a batch; a dict of such arrays for a Dict space. Pictures may have their channels
                first or last.
            deterministic: The most likely action; otherwise one is drawn from torch's global stream, as in SB3.

        Returns:
            The action, of the action space's shape and within its bounds; with the batch axis in front for a batch.

        Raises:
            Sim2RealError: The observation has another shape, or a number that is not finite or out of range.
        """
        arrays, batched = self._read(observation)
        if self.normalizer is not None:
            arrays = self.normalizer(arrays)
        seen = self.module.observation_space
        tensors = _to_tensors(arrays, seen)
        box = isinstance(self.action_space, spaces.Box)
        with torch.inference_mode():
            if deterministic and box:
                output = self._mean(preprocess_obs(tensors, seen, normalize_images=self.module.normalize_images))
            else:
                output = self.module._predict(tensors, deterministic=deterministic)
        actions: NDArray[Any] = output.numpy().reshape((-1, *(self.action_space.shape or ())))
        if isinstance(self.action_space, spaces.Box):
            low, high = self.action_space.low, self.action_space.high
            if self.module.squash_output:
                actions = low + (0.5 * (actions + 1.0) * (high - low))
            else:
                actions = np.clip(actions, low, high)
        return actions if batched else actions[0, ...]

    def _read(self, observation: Any) -> tuple[Observation, bool]:
        """Return the observation as a batch, its pictures channels first, and whether it was one."""
        space, seen = self.observation_space, self.module.observation_space
        if not isinstance(space, spaces.Dict) or not isinstance(seen, spaces.Dict):
            return _read_part(observation, space, seen, "observation", self.metadata.observation_channels)
        if not isinstance(observation, Mapping) or set(observation) != set(space.spaces):
            got = sorted(observation) if isinstance(observation, Mapping) else type(observation).__name__
            raise Sim2RealError(f"observation: expected a dict with keys {sorted(space.spaces)}, got {got}.")
        parts = {
            key: _read_part(observation[key], part, seen[key], f"observation[{key!r}]", None)
            for key, part in space.items()
        }
        if len({(batched, len(array)) for array, batched in parts.values()}) > 1:
            raise Sim2RealError("observation: its parts must be all single or all batches of one size.")
        return {key: array for key, (array, _) in parts.items()}, any(batched for _, batched in parts.values())

    @property
    def interface(self) -> Interface:
        """What it sees and does."""
        info, sides = self.metadata, (self.observation_space, self.action_space)
        return Interface(*sides, info.observation_channels, info.action_channels, info.privileged_channels)

    def check_fits(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        observation_channels: tuple[Channel, ...] | None = None,
        action_channels: tuple[Channel, ...] | None = None,
    ) -> None:
        """Check that the policy can act in an env with these spaces and channels.

        Raises:
            Sim2RealError: It cannot; the message names each channel that differs, or the shapes where a side names no
                channels.
        """
        check_fits(self.interface, Interface(observation_space, action_space, observation_channels, action_channels))

    def save(self, path: str | Path) -> None:
        """Write the bundle, atomically: the file is there whole or not at all.

        Raises:
            Sim2RealError: The file cannot be written; the message says why.
        """
        from sim2real.deployment.bundle import FILE_NAME, pack

        path = Path(path).expanduser()
        if path.is_dir():
            raise Sim2RealError(
                f"cannot write to {path}: it is a folder; give the name of a file in it, as {FILE_NAME}."
            )
        write_atomic(path, pack(self))

    def __reduce__(self) -> tuple[Callable[[bytes, str], Policy], tuple[bytes, str]]:
        """Travel to worker processes as a bundle: small, and independent of SB3's pickles."""
        from sim2real.deployment.bundle import pack, unpack

        return unpack, (pack(self), "policy")


def _own_space(model: BaseAlgorithm, normalize: VecNormalize | None) -> spaces.Space[Any]:
    """Return what the env of a model gives, whose pictures SB3 turns channels first; what it reads, if none says so."""
    turner = None if model.env is None else unwrap_vec_wrapper(model.env, VecTransposeImage)
    for env in (None if turner is None else turner.venv, normalize):
        if env is not None and channels_first(env.observation_space) == model.observation_space:
            return env.observation_space
    return model.observation_space


def _differences(model: NetworkSpec, policy: NetworkSpec) -> str:
    """Return in what the networks of a model differ from a policy's, and what would make them the same."""
    parts = []
    for name in sorted({*model.kwargs, *policy.kwargs}, key=lambda name: (name != "net_arch", name)):
        there, here = (spec.kwargs.get(name, "the default") for spec in (model, policy))
        if there != here:
            parts.append(f"{name} is {there}, the policy's {here}")
    # SB3's algorithms take use_sde beside policy_kwargs.
    beside = f"use_sde={policy.use_sde} and " if model.use_sde != policy.use_sde else ""
    return f"{'; '.join(parts)}; build the model with {beside}policy_kwargs=policy.network.policy_kwargs"


def _check_weights(weights: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[int, ...]]) -> None:
    missing, extra = sorted(set(expected) - set(weights)), sorted(set(weights) - set(expected))
    if missing or extra:
        parts = [f"{what} {', '.join(names)}" for what, names in (("missing", missing), ("unknown", extra)) if names]
        raise Sim2RealError(f"the weights do not match the networks: {'; '.join(parts)}.")
    for name, shape in expected.items():
        array = weights[name]
        if array.shape != shape:
            raise Sim2RealError(f"weight {name} has shape {array.shape}, the networks need {shape}.")
        if array.dtype != np.float32:
            raise Sim2RealError(f"weight {name} is {array.dtype}, the networks need float32.")
        if not np.isfinite(array).all():
            raise Sim2RealError(f"weight {name} holds a value that is not finite; the training had diverged.")


def _mean_action(network: NetworkSpec, module: Any) -> Callable[[Any], torch.Tensor]:
    """Return the shortest way from preprocessed observations to SB3's deterministic continuous action."""
    if network.algo == "ppo":
        extract, layers, last = module.pi_features_extractor, module.mlp_extractor.policy_net, module.action_net
        if module.squash_output:
            return lambda obs: torch.tanh(last(layers(extract(obs))))
        return lambda obs: last(layers(extract(obs)))
    actor = module.actor
    if network.algo in ("sac", "tqc"):
        return lambda obs: torch.tanh(actor.mu(actor.latent_pi(actor.features_extractor(obs))))
    return lambda obs: actor.mu(actor.features_extractor(obs))


def _read_part(
    value: Any,
    space: spaces.Space[Any],
    seen: spaces.Space[Any],
    name: str,
    channels: tuple[Channel, ...] | None,
) -> tuple[NDArray[Any], bool]:
    """Return one part of an observation as a checked batch, as the networks see it, and whether it was one."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], dict):
        raise Sim2RealError(
            f"{name} is a pair; env.reset() returns (observation, info), predict takes the first alone."
        )
    shape = space.shape or ()
    try:
        array = np.asarray(value)
    except ValueError:  # ragged lists
        array = np.array(None)
    if array.dtype.kind not in "fiub":
        raise Sim2RealError(f"{name} must hold numbers in shape {shape} or (batch, ...), got {type(value).__name__}.")
    turned = seen.shape or ()
    shapes = {shape, turned, channels_last(turned)} if is_picture(seen) else {shape}
    batched = array.shape not in shapes
    if not batched:
        array = array[np.newaxis]
    elif array.shape[1:] not in shapes or array.ndim != len(shape) + 1:
        raise Sim2RealError(f"{name} has shape {array.shape}, the policy reads {shape} or a batch (n, ...) of it.")
    if isinstance(space, spaces.Box):
        if not np.isfinite(array).all():
            where = tuple(np.argwhere(~np.isfinite(array))[0])
            index = int(np.ravel_multi_index(where[1:], shape)) if shape else 0
            raise Sim2RealError(
                f"{name}: {element_name(channels, index)} is {array[where]}; the policy needs finite numbers."
            )
    elif isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        sizes = space.n if isinstance(space, spaces.Discrete) else space.nvec
        if not np.all((array >= 0) & (array < sizes)):
            raise Sim2RealError(f"{name} = {value} must lie in 0 to {sizes - 1}.")
    return array if array.shape[1:] == turned else turn(array), batched


def _to_tensors(value: Observation, space: spaces.Space[Any]) -> Any:
    if isinstance(value, dict):
        return {key: _to_tensors(part, space[key]) for key, part in value.items()}  # type: ignore[index]
    dtype = np.float32 if isinstance(space, spaces.Box) else np.int64
    return torch.from_numpy(np.array(value, dtype=dtype))
