"""Translation: a policy of one world rewritten for the observations and actions of another, along a space map.

All of it happens in the first and the last layers, for the maps are affine. With the networks' inputs z = (x − μ)/σ of
the policy and z' of the env, x = A y + a (:mod:`~sim2real.transfer.space_map`) reads

    z = P z' + p,    P = diag(1/σ) A diag(σ'),    p = (A μ' + a − μ)/σ,

so that the first layer W z + c becomes (W P) z' + (W p + c). Where one number of the env is one of the policy's, μ' and
σ' are chosen such that P has a 1 there and p a 0: its column of W is copied, bit for bit. Numbers that are new have
columns of zeros, and statistics from their bounds; numbers that are gone stay at their mean, z = 0.

The last layer is mapped likewise. With actions scaled to [−1, 1], the env's are K n + k of the policy's n. SAC, TD3 and
TQC squash what the last layer says by a tanh, which is odd: for K of ones and minus ones the translation is exact,
else it is so to first order at the middle of the range. Critics of state and action read n from n' through the inverse
of K, its pseudoinverse where it has none. Of log standard deviations the mean is taken, weighted by |K|, and log |K| is
added.

Choices have an order, c₁ < … < c_N at equal distances in [−1, 1]. What says a number y becomes logits

    l_j = c_j y / s² + β_j,    β_{j+1} − β_j = −(c_{j+1} − c_j) t_j / s²,    s = (c₂ − c₁) / 2,

for which the most likely choice is the one nearest to the action: lines with rising slopes, of which j + 1 is above j
from the threshold t_j on, which is (c_j + c_{j+1})/2 or, where y is squashed, its artanh. For a Gaussian this is its
density at the choices. The other way the number is that of the softmax to first order at equal odds,
y = Σ_j c_j l_j / N. As SAC, TD3 and TQC have no discrete actions, the translated policy is PPO's there, with fresh
values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.linalg import block_diag

from sim2real.deployment.networks import NetworkSpec, build
from sim2real.deployment.normalizer import Normalizer, RunningStatistics
from sim2real.deployment.policy import LOG_ENT_COEF, Policy
from sim2real.domains.contract import Interface
from sim2real.errors import Sim2RealError
from sim2real.transfer.space_map import Array, Numbers, Part, SpaceMap, interpolation

Weights = dict[str, NDArray[np.float32]]

_OBSERVING = re.compile(r"(actor|actor_target)\.(latent_pi|mu)\.0\.weight|mlp_extractor\.(policy|value)_net\.0\.weight")
_CRITIC = re.compile(r"critic(_target)?\.qf\d+\.0\.weight")
_SPREAD = re.compile(r"(actor\.log_std|log_std)(\.weight|\.bias)?")

_STILL = 0.01
"""Least variance of a number that was seen, as a share of what would follow from the policy's."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """What became of one tensor of the networks."""

    name: str
    shape: tuple[int, ...]
    what: str
    """``"copied"``, ``"mapped"`` or ``"fresh"``."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A policy for another world's spaces, and what it is made of."""

    policy: Policy
    """It has the spaces and channels of the env, and says no world: it was trained in none with these."""
    tensors: tuple[Tensor, ...]
    """In their order."""
    space_map: SpaceMap
    """Along which it was translated."""

    def to_dict(self) -> dict[str, Any]:
        """Return what is to be known of it, JSON-plain: the map, and what became of each tensor."""
        tensors = [{**vars(tensor), "shape": list(tensor.shape)} for tensor in self.tensors]
        return {"space_map": self.space_map.to_dict(), "tensors": tensors}


@dataclass(frozen=True, eq=False)
class Affine:
    """x ↦ matrix · x + offset."""

    matrix: Array
    offset: Array

    def after(self, first: Affine) -> Affine:
        """Return this one after another."""
        return Affine(self.matrix @ first.matrix, self.matrix @ first.offset + self.offset)

    def snapped(self) -> Affine:
        """Return it with what rounding made of whole numbers made whole again."""
        return Affine(_snap(self.matrix), _snap(self.offset))


def translate(
    policy: Policy, env: Interface, space_map: SpaceMap, seed: int = 0, seen: RunningStatistics | None = None
) -> Translation:
    """Translate a policy.

    Args:
        policy: The policy.
        env: What the translated policy sees and does.
        space_map: Between the two, see :func:`~sim2real.transfer.space_map.map_spaces`.
        seed: Of the values' initial weights, where these are fresh.
        seen: Statistics of what the env shows, for the normalizer if there is one; as the policy's are along the map if
            ``None``. What the policy does is the same, to rounding, but for what the normalizer clips.

    Raises:
        Sim2RealError: The policy explores by state (``use_sde``), or has an asymmetric critic.
    """
    if policy.network.use_sde:
        raise Sim2RealError("a policy with state-dependent exploration (use_sde) cannot be translated.")
    if policy.network.asymmetric:
        raise Sim2RealError("a policy with an asymmetric critic, which reads privileged numbers, cannot be translated.")
    network = _network_for(policy, target_algorithm(policy.algo, env))
    normalizer, reading = _reading(policy, space_map.observation, seen)
    squashed = policy.algo != "ppo"
    said = _saying(space_map.action, squashed=squashed)
    old = policy.weights if network.algo == policy.algo else _renamed(policy)
    new = _mapped(old, reading, said, _spread(space_map.action, said), _acted(space_map))
    sides = (env.observation, env.action)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = build(network, *sides, sum(array.size for array in new.values()) * 2).state_dict()
    weights = {name: new.get(name, tensor.numpy()) for name, tensor in fresh.items()}
    if network.algo == policy.algo and LOG_ENT_COEF in old:
        weights[LOG_ENT_COEF] = old[LOG_ENT_COEF]
    tensors = [Tensor(name=name, shape=a.shape, what=_fate(old.get(name), a)) for name, a in weights.items()]
    metadata = replace(
        policy.metadata,
        hyperparameters=carried_hyperparameters(policy.metadata.hyperparameters, policy.algo, network.algo),
        observation_channels=env.observation_channels,
        action_channels=env.action_channels,
        world=None,
        domains=None,
    )
    translated = Policy(network, *sides, weights, normalizer=normalizer, metadata=metadata)
    return Translation(policy=translated, tensors=tuple(tensors), space_map=space_map)


def target_algorithm(algo: str, env: Interface) -> str:
    """Return with which algorithm a translated policy learns in an env: its own, or PPO where actions are choices."""
    return "ppo" if isinstance(env.action, (spaces.Discrete, spaces.MultiDiscrete)) else algo


def carried_hyperparameters(known: Mapping[str, Any], algo: str, target_algo: str) -> dict[str, Any]:
    """Return what a learner that goes on from a translated policy has to know of the policy's training.

    Args:
        known: The hyperparameters of that training.
        algo: Its algorithm.
        target_algo: The learner's.
    """
    if algo == target_algo:
        return dict(known)
    found = {name: known[name] for name in ("activation", "normalize_observation") if name in known}
    return {**found, **({"net_arch": _layers_for_ppo(known["net_arch"])} if "net_arch" in known else {})}


def _layers_for_ppo(net_arch: Any) -> dict[str, list[int]]:
    layers = list(net_arch["pi"] if isinstance(net_arch, Mapping) else net_arch)
    return {"pi": layers, "vf": layers}


def _network_for(policy: Policy, algo: str) -> NetworkSpec:
    network = policy.network
    if algo == network.algo:
        return network
    kwargs = {"net_arch": _layers_for_ppo(network.kwargs["net_arch"]), "activation_fn": network.kwargs["activation_fn"]}
    return NetworkSpec(algo=algo, policy=network.policy, kwargs=kwargs)


def _renamed(policy: Policy) -> Weights:
    """Return the actor of SAC, TD3 or TQC under the names that it has in PPO."""
    found, last = {}, max(_number(name) for name in policy.weights if name.startswith("actor.mu."))
    for name, array in policy.weights.items():
        _, _, place = name.partition("actor.")
        if name.startswith(("actor.latent_pi.", "actor.mu.")):
            layer, kind = place.rsplit(".", 1)
            is_head = layer == "mu" or (layer.startswith("mu.") and int(layer[3:]) == last)
            number = layer.rpartition(".")[2]
            found[f"action_net.{kind}" if is_head else f"mlp_extractor.policy_net.{number}.{kind}"] = array
    return found


def _number(name: str) -> int:
    part = name.split(".")[2]
    return int(part) if part.isdigit() else -1


def _reading(policy: Policy, part: Part, seen: RunningStatistics | None) -> tuple[Normalizer | None, Affine]:
    """Return the normalizer of the translated policy, and its networks' inputs → those of the policy."""
    matrix, wanted, given = part.matrix, part.wanted, part.given
    there = matrix.any(axis=1)
    statistics = policy.normalizer.statistics.get(None) if policy.normalizer is not None else None
    if policy.normalizer is None or statistics is None:
        gone = np.where(part.constant, part.offset, _middle(wanted))
        return policy.normalizer, Affine(matrix, np.where(there, part.offset, gone)).snapped()
    epsilon = policy.normalizer.epsilon
    mean, scale = statistics.mean, np.sqrt(statistics.var + epsilon)
    alone = (matrix != 0.0).sum(axis=1) == 1  # rows of one number
    own = (matrix != 0.0).sum(axis=0)
    mean_of, var_of = _from_bounds(given)
    if (own > 0).any():
        used = own > 0
        mean_of[used] = np.linalg.pinv(matrix[:, used]) @ np.where(there, mean - part.offset, 0.0)
        share = np.abs(matrix[:, used]) / np.abs(matrix[:, used]).sum(axis=0)
        var_of[used] = share.T @ (statistics.var / np.maximum(np.abs(matrix).sum(axis=1), 1e-12) ** 2)
    exact = []
    for row, column in zip(*np.nonzero(matrix), strict=True):
        if alone[row] and own[column] == 1:
            factor = matrix[row, column]
            mean_of[column] = (mean[row] - part.offset[row]) / factor
            variance = statistics.var[row] if factor == 1.0 else (statistics.var[row] + epsilon) / factor**2 - epsilon
            var_of[column] = max(variance, 0.0)
            if variance >= 0.0:
                exact.append((row, column))
    count = statistics.count
    if seen is not None:  # what stood still so far need not stand still for good
        mean_of, var_of, exact, count = seen.mean, np.maximum(seen.var, _STILL * var_of), [], seen.count
    scale_of = np.sqrt(var_of + epsilon)
    inputs = matrix * scale_of / scale[:, None]
    known = there | part.constant
    offset = np.where(known, (matrix @ mean_of + part.offset - mean) / scale, 0.0)
    for row, column in exact:
        inputs[row, column], offset[row] = np.sign(matrix[row, column]), 0.0
    normalizer = Normalizer(
        statistics={None: RunningStatistics(mean=mean_of, var=var_of, count=count)},
        returns=policy.normalizer.returns,
        clip=policy.normalizer.clip,
        epsilon=epsilon,
    )
    return normalizer, Affine(inputs, offset)


def _middle(numbers: Numbers) -> Array:
    """Return the middle of each number's bounds, 0 where it has none."""
    bounded = np.isfinite(numbers.low) & np.isfinite(numbers.high)
    return np.where(bounded, 0.5 * (np.where(bounded, numbers.low, 0.0) + np.where(bounded, numbers.high, 0.0)), 0.0)


def _from_bounds(numbers: Numbers) -> tuple[Array, Array]:
    """Return mean and variance of numbers that are anywhere within their bounds; 0 and 1 where they have none."""
    bounded = np.isfinite(numbers.low) & np.isfinite(numbers.high)
    span = np.where(bounded, numbers.high, 1.0) - np.where(bounded, numbers.low, 0.0)
    return _middle(numbers), np.where(bounded, span**2 / 12.0, 1.0)


def scaled_actions(part: Part) -> Affine:
    """Return the map of actions that are scaled to [−1, 1], n' = K n + k."""
    wanted, given = part.wanted, part.given
    half, half_given = 0.5 * (wanted.high - wanted.low), 0.5 * (given.high - given.low)
    matrix = part.matrix * half_given / half[:, None]
    offset = (part.matrix @ _middle(given) + part.offset - _middle(wanted)) / half
    known = part.matrix.any(axis=1) | part.constant
    return Affine(matrix, np.where(known, offset, 0.0)).snapped()


def _saying(part: Part, *, squashed: bool) -> Affine:
    """Return the map of what the last layer says.

    Args:
        part: The map of actions.
        squashed: Whether what it says is squashed to [−1, 1] by a tanh; actions of PPO are in the env's own numbers.
    """
    wanted, given, scaled = part.wanted, part.given, scaled_actions(part)
    if wanted.choices and given.choices and (resampled := _resampled(part, scaled)) is not None:
        return resampled
    if given.choices:
        weights = [np.linspace(-1.0, 1.0, n)[None] / n for n in given.choices]
        matrix = block_diag(*weights)
        scaled = scaled.after(Affine(matrix, np.zeros(len(matrix))))
    elif not squashed:
        half, middle = 0.5 * (given.high - given.low), _middle(given)
        scaled = scaled.after(Affine(np.diag(1.0 / half), -middle / half))
    if wanted.choices:
        return _choosing(wanted.choices, squashed=squashed).after(scaled)
    if not squashed:
        scaled = Affine(np.diag(0.5 * (wanted.high - wanted.low)), _middle(wanted)).after(scaled)
    return scaled.snapped()


def _choosing(choices: tuple[int, ...], *, squashed: bool) -> Affine:
    """Return logits of choices from numbers, one each, see the module's docstring."""
    slopes, offsets = [], []
    for count in choices:
        places = np.linspace(-1.0, 1.0, count)
        thresholds = 0.5 * (places[1:] + places[:-1])
        if squashed:
            thresholds = np.arctanh(thresholds)
        slope = places / (0.5 * (places[1] - places[0])) ** 2
        offset = np.concatenate(([0.0], np.cumsum(-np.diff(slope) * thresholds)))
        slopes.append(slope[:, None])
        offsets.append(offset - offset.mean())
    return Affine(block_diag(*slopes), np.concatenate(offsets))


def _resampled(part: Part, scaled: Affine) -> Affine | None:
    """Return logits from logits, where each choice is one of the policy's choices, or between two of them."""
    matrix, blocks = scaled.matrix, []
    if scaled.offset.any() or not np.isin(matrix, (-1.0, 0.0, 1.0)).all() or (np.abs(matrix).sum(axis=1) > 1).any():
        return None
    for row, count in enumerate(part.wanted.choices):
        line = []
        for column, other in enumerate(part.given.choices):
            sign = matrix[row, column]
            line.append(np.abs(sign) * interpolation(count, other)[:: -1 if sign < 0 else 1])
        blocks.append(line)
    whole = np.block(blocks)
    return Affine(whole, np.zeros(len(whole)))


def _spread(part: Part, said: Affine) -> Affine | None:
    """Return the map of log standard deviations; ``None`` where one side has none."""
    if part.wanted.choices or part.given.choices:
        return None
    share = np.abs(said.matrix)
    total = share.sum(axis=1, keepdims=True)
    known = total[:, 0] > 0.0
    length = np.linalg.norm(said.matrix, axis=1)
    return Affine(
        np.divide(share, total, out=np.zeros_like(share), where=total > 0.0),
        np.where(known, np.log(np.where(known, length, 1.0)), 0.0),
    )


def _acted(space_map: SpaceMap) -> Affine:
    """Return scaled actions of the policy from those of the env, for critics that read them."""
    scaled = scaled_actions(space_map.action)
    links = scaled.matrix != 0.0
    if (links.sum(axis=0) <= 1).all() and (links.sum(axis=1) <= 1).all():
        inverse = np.divide(1.0, scaled.matrix, out=np.zeros_like(scaled.matrix), where=links).T
    else:
        inverse = np.linalg.pinv(scaled.matrix)
    return Affine(inverse, -inverse @ scaled.offset).snapped()


def _mapped(old: Weights, reading: Affine, said: Affine, spread: Affine | None, acted: Affine) -> Weights:
    """Return the tensors that the translated policy has from the policy, by the names of its algorithm."""
    both = Affine(block_diag(reading.matrix, acted.matrix), np.concatenate((reading.offset, acted.offset)))
    found: Weights = {}
    for name, array in old.items():
        if name == LOG_ENT_COEF or (_SPREAD.fullmatch(name) and spread is None):
            continue
        base, _, kind = name.rpartition(".")
        if kind == "bias":
            continue  # with its weight
        if kind != "weight":  # PPO's log standard deviations, one an action
            assert spread is not None
            found[name] = _float32(spread.matrix @ array + spread.offset)
            continue
        weight, bias = array.astype(np.float64), old[f"{base}.bias"].astype(np.float64)
        output = _head(name, old)
        if output is not None:
            head = spread if output == "spread" else said
            assert head is not None
            weight, bias = head.matrix @ weight, head.matrix @ bias + head.offset
        entry = _entry(name, old)
        if entry is not None:
            entered = both if entry == "both" else reading
            weight, bias = weight @ entered.matrix, bias + weight @ entered.offset
        found[name], found[f"{base}.bias"] = _float32(weight), _float32(bias)
    return found


def _entry(name: str, names: Mapping[str, Any]) -> str | None:
    """Return what a layer reads: ``"observation"``, ``"both"`` with the action, or ``None`` if another layer."""
    if _CRITIC.fullmatch(name):
        return "both"
    direct = {  # without hidden layers the last one reads the observation
        "actor.mu.weight": "actor.latent_pi.0.weight",
        "actor.log_std.weight": "actor.latent_pi.0.weight",
        "action_net.weight": "mlp_extractor.policy_net.0.weight",
        "value_net.weight": "mlp_extractor.value_net.0.weight",
    }
    is_first = _OBSERVING.fullmatch(name) or (name in direct and direct[name] not in names)
    return "observation" if is_first else None


def _head(name: str, names: Mapping[str, Any]) -> str | None:
    """Return what a layer says: ``"action"``, ``"spread"`` (of actions), or ``None``."""
    if _SPREAD.fullmatch(name):
        return "spread"
    if name in ("actor.mu.weight", "action_net.weight"):
        return "action"
    prefix, _, rest = name.partition(".mu.")  # the last of TD3's, which are all called mu
    if prefix in ("actor", "actor_target") and rest:
        numbers = [_number(other) for other in names if other.startswith("actor.mu.")]
        return "action" if int(rest.partition(".")[0]) == max(numbers) else None
    return None


def _fate(old: NDArray[np.float32] | None, new: NDArray[np.float32]) -> str:
    """Return whether a tensor was copied, mapped or is fresh."""
    if old is None or (old.any() and not new.any()):
        return "fresh"
    return "copied" if np.array_equal(old, new) else "mapped"


def _float32(array: Array) -> NDArray[np.float32]:
    return array.astype(np.float32)


def _snap(array: Array) -> Array:
    whole = np.round(array)
    return np.where(np.abs(array - whole) < 1e-9, whole, array)
