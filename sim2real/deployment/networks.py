"""The networks behind a policy, described in plain JSON and built from an allow-list of SB3 classes.

A bundle names its networks, it does not contain code: only what stands in the tables here can be built.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gymnasium import spaces

from sim2real.deployment.pictures import channels_first, convolved
from sim2real.errors import Sim2RealError, check_keys, unknown_name

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy
    from torch import nn

ALGORITHMS = ("ppo", "sac", "td3", "tqc")
POLICIES = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")

_EXTRACTORS = {
    "MlpPolicy": ("FlattenExtractor", None),
    "CnnPolicy": ("NatureCNN", "features_dim"),
    "MultiInputPolicy": ("CombinedExtractor", "cnn_output_dim"),
}
"""SB3's default features extractor of each policy class, and its argument for how many features a picture becomes."""

_ACTIVATIONS = {
    "elu": "ELU",
    "gelu": "GELU",
    "leaky_relu": "LeakyReLU",
    "mish": "Mish",
    "relu": "ReLU",
    "selu": "SELU",
    "silu": "SiLU",
    "softplus": "Softplus",
    "tanh": "Tanh",
}
_COMMON = {
    "net_arch": "layers",
    "activation_fn": "activation",
    "features_extractor_kwargs": "features",
    "share_features_extractor": "bool",
    "normalize_images": "bool",
}
_SDE = {"use_sde": "bool", "use_expln": "bool", "log_std_init": "number"}
_CRITICS = {"n_critics": "count", "privileged_dim": "width"}
_KEYWORDS = {
    "ppo": {**_COMMON, **_SDE, "full_std": "bool", "squash_output": "bool"},
    "sac": {**_COMMON, **_SDE, **_CRITICS, "clip_mean": "number"},
    "td3": {**_COMMON, **_CRITICS},
    "tqc": {**_COMMON, **_SDE, **_CRITICS, "clip_mean": "number", "n_quantiles": "count"},
}
# How a network is initialised and optimised is no part of what a trained policy is.
_FORGOTTEN = ("ortho_init", "optimizer_class", "optimizer_kwargs")


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What is needed to build the networks of a policy again."""

    algo: str
    """One of :data:`ALGORITHMS`."""
    policy: str
    """SB3's name of the policy class, one of :data:`POLICIES`."""
    kwargs: Mapping[str, Any]
    """JSON-plain keyword arguments: ``net_arch``, ``activation_fn`` by name, ``n_critics``, ``use_sde``, …; for
    pictures ``features_extractor_kwargs``, ``{"features_dim": n}`` or, in a Dict, ``{"cnn_output_dim": n}``. With
    ``privileged_dim`` the policy class is the variant that :func:`~sim2real.deployment.asymmetric.asymmetric` makes."""

    def __post_init__(self) -> None:
        if self.algo not in ALGORITHMS:
            raise unknown_name("algorithm", self.algo, ALGORITHMS)
        if self.policy not in POLICIES:
            raise unknown_name("policy class", self.policy, POLICIES)
        keywords = dict(_KEYWORDS[self.algo])
        if _EXTRACTORS[self.policy][1] is None:
            del keywords["features_extractor_kwargs"]
        check_keys(self.kwargs, keywords, "policy_kwargs")
        if "net_arch" not in self.kwargs or "activation_fn" not in self.kwargs:
            raise Sim2RealError("policy_kwargs: net_arch and activation_fn must be given.")
        for name, value in self.kwargs.items():
            _check_keyword(name, value, keywords[name], self)
        if self.asymmetric and self.kwargs.get("share_features_extractor"):
            raise Sim2RealError(
                "policy_kwargs: privileged_dim is for critics that read something else than the actor; they cannot "
                "share_features_extractor."
            )

    @property
    def asymmetric(self) -> bool:
        """Whether the critics read privileged numbers, see :mod:`~sim2real.deployment.asymmetric`."""
        return "privileged_dim" in self.kwargs

    @property
    def use_sde(self) -> bool:
        """Whether exploration is state dependent (gSDE); SB3's algorithms take it beside ``policy_kwargs``."""
        return bool(self.kwargs.get("use_sde", False))

    @property
    def policy_kwargs(self) -> dict[str, Any]:
        """The ``policy_kwargs`` to give to an SB3 algorithm whose networks are to be the same."""
        # A copy of each: SB3 writes into features_extractor_kwargs.
        kwargs = {key: deepcopy(value) for key, value in self.kwargs.items() if key != "use_sde"}
        return {**kwargs, "activation_fn": _activation(self.kwargs["activation_fn"])}


def algorithm_class(algo: str) -> type[BaseAlgorithm]:
    """Return SB3's class of an algorithm.

    Raises:
        Sim2RealError: The name is unknown.
    """
    if algo not in ALGORITHMS:
        raise unknown_name("algorithm", algo, ALGORITHMS)
    module = import_module("sb3_contrib" if algo == "tqc" else "stable_baselines3")
    chosen: type[BaseAlgorithm] = getattr(module, algo.upper())
    return chosen


def describe(model: BaseAlgorithm) -> NetworkSpec:
    """Describe the networks of an SB3 model.

    Raises:
        Sim2RealError: The algorithm, the policy class or a keyword is not among those that a bundle can name.
    """
    from sim2real.deployment.asymmetric import symmetric

    algo = next((name for name in ALGORITHMS if isinstance(model, algorithm_class(name))), None)
    if algo is None:
        raise unknown_name("algorithm", type(model).__name__.lower(), ALGORITHMS)
    aliases = algorithm_class(algo).policy_aliases
    policy = next((name for name in POLICIES if symmetric(type(model.policy)) is aliases[name]), None)
    if policy is None:
        raise unknown_name("policy class", type(model.policy).__name__, POLICIES)

    kwargs = {key: value for key, value in model.policy_kwargs.items() if key not in _FORGOTTEN}
    kwargs.pop("features_extractor_class", None)
    if model.policy.features_extractor_class.__name__ != _EXTRACTORS[policy][0]:
        raise Sim2RealError("a policy with a features extractor of its own cannot be stored in a bundle.")
    kwargs.pop("normalize_images", None)
    features = dict(kwargs.pop("features_extractor_kwargs", None) or {})
    if not model.policy.normalize_images:
        kwargs["normalize_images"] = False
        features.pop("normalized_image", None)  # written by SB3 itself
    # Written out even where SB3's default was used: defaults change between versions.
    if _pictures(policy, kwargs, model.observation_space):
        features[str(_EXTRACTORS[policy][1])] = _features(policy, features)
    if features:
        kwargs["features_extractor_kwargs"] = features
    net_arch: Any = model.policy.net_arch
    activation: Any = model.policy.activation_fn
    kwargs["net_arch"] = {key: list(v) for key, v in net_arch.items()} if isinstance(net_arch, dict) else list(net_arch)
    kwargs["activation_fn"] = _activation_name(activation)
    if "use_sde" in _KEYWORDS[algo]:
        kwargs["use_sde"] = bool(model.use_sde)
    return NetworkSpec(algo=algo, policy=policy, kwargs=kwargs)


def build(
    spec: NetworkSpec, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], weights: int
) -> BasePolicy:
    """Build the networks, with arbitrary weights, on the CPU and in evaluation mode.

    Args:
        spec: What to build.
        observation_space: What the policy reads; the networks read pictures with their channels first.
        action_space: What it returns.
        weights: How many numbers there are to fill it with; checked before memory is taken for it.

    Raises:
        Sim2RealError: The spaces do not suit the algorithm or the policy class, or the weights are too few.
    """
    import torch

    from sim2real.deployment.asymmetric import asymmetric

    if isinstance(observation_space, spaces.Dict) != (spec.policy == "MultiInputPolicy"):
        raise Sim2RealError(f"{spec.policy} does not read {observation_space}; MultiInputPolicy is for Dict spaces.")
    if spec.policy == "CnnPolicy" and not _pictures(spec.policy, spec.kwargs, observation_space):
        raise Sim2RealError(f"CnnPolicy does not read {observation_space}; it is for pictures of uint8 from 0 to 255.")
    if spec.algo != "ppo" and not isinstance(action_space, spaces.Box):
        raise Sim2RealError(f"{spec.algo} needs a Box action space, not {action_space}.")
    if isinstance(action_space, spaces.Dict):
        raise Sim2RealError(f"Dict action spaces are not supported: {action_space}.")
    if isinstance(action_space, spaces.Box) and not action_space.is_bounded():
        raise Sim2RealError(f"the action space {action_space} must have finite bounds.")
    observation_space = channels_first(observation_space)
    if weights < _fewest_weights(spec, observation_space, action_space):
        features = spec.kwargs.get("features_extractor_kwargs")
        raise Sim2RealError(
            f"{weights} weights are too few for net_arch {spec.kwargs['net_arch']}"
            f"{f' and features_extractor_kwargs {features}' if features else ''}."
        )

    chosen: Any = algorithm_class(spec.algo).policy_aliases[spec.policy]
    if spec.asymmetric:
        chosen = asymmetric(chosen)
    extra: dict[str, Any] = {"use_sde": True} if spec.use_sde else {}
    if spec.algo == "ppo":
        extra["ortho_init"] = False  # slow, and overwritten anyway
    with torch.random.fork_rng(devices=[]):  # building draws initial weights: leave the caller's stream alone
        try:
            module: BasePolicy = chosen(observation_space, action_space, _no_learning, **spec.policy_kwargs, **extra)
        except (AssertionError, KeyError, NotImplementedError, TypeError, ValueError) as error:
            raise Sim2RealError(f"the networks cannot be built: {error}") from None
    module.set_training_mode(False)
    return module


def _no_learning(_progress_remaining: float) -> float:
    return 0.0


def _fewest_weights(spec: NetworkSpec, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> int:
    net_arch = spec.kwargs["net_arch"]
    actions = spaces.utils.flatdim(action_space)
    pictures = _pictures(spec.policy, spec.kwargs, observation_space)
    features = _features(spec.policy, spec.kwargs.get("features_extractor_kwargs", {})) if pictures else 0
    inputs, total = features * len(pictures), 0
    for part in _parts(observation_space):
        if any(part is picture for picture in pictures):
            convolutions, outputs = convolved(part)
            total += convolutions + outputs * features
        else:
            inputs += spaces.utils.flatdim(part)
    for name, layers in net_arch.items() if isinstance(net_arch, dict) else [("pi", net_arch)]:
        widths = [inputs, *layers, actions if name == "pi" else 1]
        copies = spec.kwargs.get("n_critics", 1) if name == "qf" else 1
        total += copies * sum(math.prod(pair) for pair in itertools.pairwise(widths))
    if spec.asymmetric:
        first = [*(net_arch["qf"] if isinstance(net_arch, dict) else net_arch), 1][0]
        total += spec.kwargs.get("n_critics", 1) * spec.kwargs["privileged_dim"] * first
    return total


def _parts(space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    return list(space.values()) if isinstance(space, spaces.Dict) else [space]


def _pictures(policy: str, kwargs: Mapping[str, Any], space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    """Return those parts of an observation space that convolutions read."""
    from stable_baselines3.common.preprocessing import is_image_space

    if policy == "MlpPolicy":
        return []
    scaled = not kwargs.get("normalize_images", True)  # whatever has three axes is then a picture to SB3
    return [part for part in _parts(space) if is_image_space(part, normalized_image=scaled)]


def _features(policy: str, given: Mapping[str, Any]) -> int:
    """Return how many features a picture becomes, by default as many as SB3 says."""
    from stable_baselines3.common import torch_layers

    extractor, name = _EXTRACTORS[policy]
    assert name is not None
    default = inspect.signature(getattr(torch_layers, extractor)).parameters[name].default
    return int(given.get(name, default))


def _activation(name: str) -> type[nn.Module]:
    from torch import nn

    chosen: type[nn.Module] = getattr(nn, _ACTIVATIONS[name])
    return chosen


def _activation_name(activation: type[nn.Module]) -> str:
    name = next((name for name in _ACTIVATIONS if _activation(name) is activation), None)
    if name is None:
        raise unknown_name("activation function", activation.__name__, _ACTIVATIONS)
    return name


def _check_keyword(name: str, value: object, kind: str, spec: NetworkSpec) -> None:
    where = f"policy_kwargs: {name}"
    if kind == "bool" and not isinstance(value, bool):
        raise Sim2RealError(f"{where} = {value!r} must be true or false.")
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e6):
        raise Sim2RealError(f"{where} = {value!r} must be a number of magnitude below 1e6.")
    if kind == "count" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100):
        raise Sim2RealError(f"{where} = {value!r} must be a whole number from 1 to 100.")
    if kind == "width" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000):
        raise Sim2RealError(f"{where} = {value!r} must be a whole number from 1 to 100000.")
    if kind == "activation" and str(value) not in _ACTIVATIONS:
        raise unknown_name("activation function", value, _ACTIVATIONS)
    if kind == "features":
        for count in check_keys(value, [str(_EXTRACTORS[spec.policy][1])], where).values():
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise Sim2RealError(f"{where} = {value!r} must hold a whole number of at least 1.")
    if kind == "layers":
        heads = ("pi", "vf" if spec.algo == "ppo" else "qf")
        if isinstance(value, Mapping):
            check_keys(value, heads, where)
            if set(value) != set(heads):
                raise Sim2RealError(f"{where} = {value!r} must give both {heads[0]!r} and {heads[1]!r}.")
        for layers in value.values() if isinstance(value, Mapping) else [value]:
            if not isinstance(layers, list) or len(layers) > 100:
                raise Sim2RealError(f"{where} = {value!r} must be a list of layer widths.")
            if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in layers):
                raise Sim2RealError(f"{where} = {value!r} must hold whole numbers of at least 1.")
