"""Fine-tuning with frozen layers: what the source has learned of seeing stays, what it does about it changes.

The first layers of a network hold what is general, the last what is special (Yosinski et al., 2014, "How transferable
are features in deep neural networks?"). With ``thaw_every`` the frozen layers thaw one after the other, from the last
to the first, and with ``rate_decay`` = d a layer learns at d times the rate of the one behind it: gradual unfreezing
and discriminative fine-tuning of Howard & Ruder (2018, section 3), whose d is 1/2.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy

from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.training.train import TrainingConfig
from sim2real.transfer.finetune import FineTune

OUTPUT = "output"
"""Name of the last layer; those before it are hidden_1, hidden_2, …"""


@dataclass(frozen=True, kw_only=True)
class Freeze(FineTune):
    """Fine-tunes with some layers of actor and critics frozen, for good or for a time."""

    name: ClassVar[str] = "freeze"

    frozen: Sequence[str] | None = None
    """Names of the frozen layers, ``hidden_1``, ``hidden_2``, …, ``output``; all hidden ones if ``None``."""
    thaw_every: int | None = None
    """Steps after each of which one more frozen layer thaws, the last first; none does if ``None``."""
    rate_decay: float = 1.0
    """Factor from the learning rate of a layer to that of the one before it, above 0, at most 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        frozen: Any = self.frozen
        if frozen is not None:
            if isinstance(frozen, str) or not isinstance(frozen, (list, tuple)) or not all(map(_is_layer, frozen)):
                raise Sim2RealError(f"frozen = {frozen!r} must be names of layers: hidden_1, hidden_2, …, {OUTPUT}.")
            object.__setattr__(self, "frozen", list(frozen))
        every = self.thaw_every
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise Sim2RealError(f"thaw_every = {every!r} must be a whole number of at least 1.")
        decay = self.rate_decay
        if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0.0 < decay <= 1.0:
            raise Sim2RealError(f"rate_decay = {decay!r} must be a number, above 0 and at most 1.")

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Copy networks and normalizer; return the callbacks that freeze and thaw.

        Raises:
            Sim2RealError: A network has no layer of a name in ``frozen``, or all layers are frozen for good.
        """
        callbacks = super().prepare(learner, source, training)
        networks = _layers(learner)
        count = {name: len(layers) for name, layers in networks.items()}
        hidden = max(count.values()) - 1
        names = [*(f"hidden_{index}" for index in range(1, hidden + 1)), OUTPUT]
        frozen = names[:-1] if self.frozen is None else self.frozen
        for name in frozen:
            if name not in names:
                raise Sim2RealError(f"frozen = {list(frozen)}: the networks have the layers {', '.join(names)}.")
        if self.thaw_every is None and len(set(frozen)) == len(names):
            raise Sim2RealError("with all layers frozen nothing is learned; leave one out, or give thaw_every.")
        return [*callbacks, _Thaw(networks, frozen, self.thaw_every, self.rate_decay)]


class _Thaw(BaseCallback):
    """Sets the learning rate of every layer, as a function of the step.

    Args:
        networks: Layers of the ``actor`` and of the ``critic``, from the first on; of each the names of its parameters.
        frozen: Names of layers.
        every: Steps between two thaws.
        decay: Factor between the rates of neighbours.
    """

    def __init__(
        self,
        networks: Mapping[str, Sequence[Sequence[str]]],
        frozen: Sequence[str],
        every: int | None,
        decay: float,
    ) -> None:
        super().__init__()
        self._networks, self._frozen, self._every, self._decay = networks, frozen, every, decay
        self._step = 0

    def _on_training_start(self) -> None:
        if isinstance(self.model.policy, ActorCriticPolicy):
            _scale_steps(self.model.policy, self._factors)

    def _on_rollout_start(self) -> None:
        model: Any = self.model
        self._step = model.num_timesteps
        if not isinstance(model.policy, ActorCriticPolicy):
            model.scale_rates(self._factors("actor"), self._factors("critic"))

    def _on_step(self) -> bool:
        return True

    def _factors(self, network: str) -> dict[str, float]:
        """Return the factor on the learning rate of every parameter."""
        layers = self._networks[network]
        names = [*(f"hidden_{index}" for index in range(1, len(layers))), OUTPUT]
        still = [name for name in names if name in self._frozen]
        if self._every is not None:
            still = still[: max(0, len(still) - self._step // self._every)]
        found: dict[str, float] = {}
        for depth, (name, parameters) in enumerate(zip(reversed(names), reversed(layers), strict=True)):
            found |= dict.fromkeys(parameters, 0.0 if name in still else self._decay**depth)
        return found


def _is_layer(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"hidden_[1-9]\d*|{OUTPUT}", name) is not None


def _layers(learner: BaseAlgorithm) -> dict[str, list[list[str]]]:
    """Return the names of the parameters of the layers of the actor, and of (each) critic."""
    policy: Any = learner.policy
    if isinstance(policy, ActorCriticPolicy):
        extractor = policy.mlp_extractor
        actor = _by_layer("mlp_extractor.policy_net", extractor.policy_net)
        last = _names("action_net", policy.action_net)
        if hasattr(policy, "log_std"):
            last.append("log_std")
        critic = _by_layer("mlp_extractor.value_net", extractor.value_net)
        return {"actor": [*actor, last], "critic": [*critic, _names("value_net", policy.value_net)]}
    critic = _by_layer("", policy.critic.q_networks[0])
    if hasattr(policy.actor, "latent_pi"):
        actor = _by_layer("latent_pi", policy.actor.latent_pi)
        last = [*_names("mu", policy.actor.mu), *_names("log_std", policy.actor.log_std)]
        return {"actor": [*actor, last], "critic": critic}
    return {"actor": _by_layer("mu", policy.actor.mu), "critic": critic}


def _by_layer(prefix: str, layers: torch.nn.Module) -> list[list[str]]:
    named = [(f"{prefix}.{name}".lstrip("."), layer) for name, layer in layers.named_children()]
    return [names for name, layer in named if (names := _names(name, layer))]


def _names(prefix: str, layer: torch.nn.Module) -> list[str]:
    return [f"{prefix}.{name}" for name, _ in layer.named_parameters()]


def _scale_steps(policy: ActorCriticPolicy, factors: Any) -> None:
    """Let every step of an optimizer go only a part of its way, parameter by parameter."""
    parameters = dict(policy.named_parameters())
    before: dict[str, torch.Tensor] = {}

    def remember(*_: Any) -> None:
        before.update({name: p.detach().clone() for name, p in parameters.items()})

    def go_back(*_: Any) -> None:
        with torch.no_grad():
            for name, factor in {**factors("actor"), **factors("critic")}.items():
                if factor == 0.0:
                    parameters[name].copy_(before[name])
                elif factor != 1.0:
                    parameters[name].copy_(torch.lerp(before[name], parameters[name], factor))

    policy.optimizer.register_step_pre_hook(remember)
    policy.optimizer.register_step_post_hook(go_back)
