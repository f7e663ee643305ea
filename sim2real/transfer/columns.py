"""Columns: a network of its own beside that of the source policy, the two in one wider multilayer perceptron.

A hidden layer of w units becomes one of w + v units: the first w are the source's column, the others a new one. With
the activations s_i of the source's column and h_i of the new one in hidden layer i, f the activation function, and the
observation o = s_0 (for a critic of SAC, TD3 or TQC, observation and action),

    s_i = f(S_i s_{i-1} + c_i)                    the source's, frozen
    h_1 = f(W_1 o + b_1)                          drawn anew, learned
    h_i = f(W_i h_{i-1} + U_i s_{i-1} + b_i)      drawn anew, learned; U_i = 0 for good where there are no adapters
    y   = S s_n + V h_n + b                       S the source's, frozen; V = 0 and b the source's at first, learned

so that the network starts as the source's, to rounding, and the source's column, which reads nothing of the new one,
stays in it. What reads pictures is frozen where the source's column is, and both columns read its features. To
everything else it is a network of the usual kind: bundle, export and compiled update know of no columns. Where the
source policy has columns itself, they are its column together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from sim2real.deployment.networks import build, describe
from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, whole
from sim2real.training.fast.functional import ENCODER
from sim2real.training.fast.overlap import OverlapMixin
from sim2real.training.train import TrainingConfig
from sim2real.transfer.finetune import FineTune

Array = NDArray[np.float32]

_ENCODERS = {
    "actor": ("actor.features_extractor.", "features_extractor."),
    "critic": ("critic.features_extractor.", "vf_features_extractor."),
}
"""Begins the names of the parameters that read pictures: of SAC, TD3 and TQC, then of PPO."""


@dataclass(frozen=True, kw_only=True)
class Columns(FineTune):
    """Fine-tunes a new column beside the source's, which is frozen."""

    rules: ClassVar[Mapping[str, Rule]] = {**FineTune.rules, "width": whole(1, 4096, none=True)}
    adapters: ClassVar[bool]
    """Whether the new column reads the hidden layers of the source's."""
    asymmetric: ClassVar[bool] = False
    critics: ClassVar[bool]
    """Whether the critics have a new column, too; otherwise they are the source's, and learn as a whole."""

    width: int | None = None
    """Units of the new column in each hidden layer; as many as the source's column has there if
    ``None``."""

    @property
    def changes_update(self) -> bool:
        """Parts of its layers are frozen."""
        return True

    def hyperparameters(self, tuned: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of fine-tuning, with networks that have room for the new column.

        Raises:
            Sim2RealError: A network has no hidden layer.
        """
        values = super().hyperparameters(tuned, source)
        critic = "qf" if "buffer_size" in values else "vf"
        return {**values, "net_arch": self._widened(values["net_arch"], critic)}

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Put the source's networks and the new column into the learner, and freeze the former.

        Raises:
            Sim2RealError: The learner has other networks, or they are none that can have columns.
        """
        assert source is not None
        if source.network.use_sde or learner.use_sde:
            raise Sim2RealError(f"{self.name} needs a policy without state-dependent exploration (use_sde).")
        wide, small = self._widen(source, learner), source.weights
        shapes = {name: (small[name].shape, array.shape) for name, array in wide.weights.items()}
        learned = {name: _learned(*pair, self.adapters) for name, pair in shapes.items() if pair[0] != pair[1]}
        encoders = (*_ENCODERS["actor"], *(_ENCODERS["critic"] if self.critics else ()))
        learned |= {name: torch.zeros(array.shape) for name, array in small.items() if name.startswith(encoders)}
        _learn_only(learner, learned)
        return super().prepare(learner, wide, training)

    def _widened(self, net_arch: Any, critic: str) -> dict[str, list[int]]:
        """Return the widths of a source's hidden layers with the new column, by name of the network."""
        found = {part: list(net_arch[part] if isinstance(net_arch, Mapping) else net_arch) for part in ("pi", critic)}
        for part in found if self.critics else ("pi",):
            if not found[part]:
                raise Sim2RealError(f"{self.name} needs a policy with hidden layers; its net_arch is {net_arch}.")
            found[part] = [width + (self.width or width) for width in found[part]]
        return found

    def _widen(self, source: Policy, learner: BaseAlgorithm) -> Policy:
        """Return the source policy with the new column, whose numbers are those of the fresh learner."""
        network, own = source.network, describe(learner).kwargs
        net_arch = self._widened(network.kwargs["net_arch"], "vf" if network.algo == "ppo" else "qf")
        kwargs = {**network.kwargs, "net_arch": net_arch}
        titles = {"net_arch": "net_arch", "activation_fn": "activation", "features_extractor_kwargs": "features_dim"}
        for name, title in titles.items():
            if own.get(name) != kwargs.get(name):
                raise Sim2RealError(
                    f"{self.name} needs a learner with {title} {kwargs.get(name)}, this one has {own.get(name)}; give "
                    f"the hyperparameter {title} of the source policy, {network.kwargs.get(name)}."
                )
        wide, spaces = replace(network, kwargs=kwargs), (source.observation_space, source.action_space)
        fresh = {name: tensor.numpy() for name, tensor in learner.policy.state_dict().items()}
        room = build(wide, *spaces, sum(array.size for array in fresh.values())).state_dict()
        if {name: array.shape for name, array in fresh.items()} != {name: tuple(t.shape) for name, t in room.items()}:
            raise Sim2RealError(
                f"{self.name} needs a learner with the critics (n_critics, n_quantiles) and the spaces of the source "
                f"policy."
            )
        small = source.weights
        weights = {name: _joined(small[name], array, self.adapters) for name, array in fresh.items()}
        return Policy(wide, *spaces, {**small, **weights}, normalizer=source.normalizer, metadata=source.metadata)


def _joined(source: Array, fresh: Array, adapters: bool) -> Array:
    """Return a parameter of both columns: the source's numbers first, 0 where its units would read the new ones."""
    joined, units = fresh.copy(), len(source)
    joined[:units] = 0.0
    joined[tuple(slice(size) for size in source.shape)] = source
    if source.ndim == 2 and not adapters:
        inputs, all_inputs = source.shape[1], fresh.shape[1]
        if all_inputs > inputs:
            joined[units:, :inputs] = 0.0
            joined[units:, inputs:] *= math.sqrt(all_inputs / (all_inputs - inputs))  # drawn for all of them
    return joined


def _learned(source: tuple[int, ...], both: tuple[int, ...], adapters: bool) -> Tensor:
    """Return 1 for the elements of a parameter that are learned and 0 for those that are frozen.

    Args:
        source: Its shape in the source.
        both: Its shape with the new column; (units, inputs), or (units,).
        adapters: Whether the new column reads the source's.
    """
    learned, units = torch.zeros(both), source[0]
    if both[0] == units:  # an output layer
        learned[:, source[1] :] = 1.0
    else:
        learned[units:] = 1.0
        if len(both) == 2 and both[1] > source[1] and not adapters:
            learned[units:, : source[1]] = 0.0
    return learned


def _learn_only(learner: BaseAlgorithm, learned: Mapping[str, Tensor]) -> None:
    """Freeze the elements of parameters, by their names in the policy, for which there is a 0.

    Raises:
        Sim2RealError: The policy is none that the faster update is for.
    """
    if isinstance(learner, OverlapMixin):
        encoder = {name: factors for name, factors in _below("critic.", learned).items() if name.startswith(ENCODER)}
        critics = _below("critic.qf0.", learned)  # every critic has the same
        learner.scale_rates(_below("actor.", learned), {**critics, **encoder})
        return
    for name, parameter in learner.policy.named_parameters():
        if name in learned:
            # Gradients are clipped after that: what is frozen has no part in their norm, and no moments.
            parameter.register_hook(learned[name].mul)  # type: ignore[no-untyped-call]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
