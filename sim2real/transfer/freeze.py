"""Fine-tuning with frozen layers: what the source has learned of seeing stays, what it does about it changes.

The first layers of a network hold what is general, the last what is special (Yosinski et al., 2014, "How transferable
are features in deep neural networks?"). Where pictures are seen, the convolutions that read them, the encoder, count as
the first. Layers are counted in actor and critics each, so one with fewer has thawed sooner. With ``thaw_every`` the
frozen layers thaw one after the other, from the last to the first, and with ``rate_decay`` = d a layer learns at d
times the rate of the one behind it: gradual unfreezing and discriminative fine-tuning of Howard & Ruder (2018, section
3), whose d is 1/2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy

from sim2real.deployment.pictures import has_pictures
from sim2real.deployment.policy import Policy
from sim2real.errors import Sim2RealError
from sim2real.rules import Rule, number, whole
from sim2real.training.fast.update import check_changeable
from sim2real.training.train import TrainingConfig
from sim2real.transfer.finetune import FineTune

ENCODER, OUTPUT = "encoder", "output"
"""Names of what reads pictures, where there are some, and of the last layer; between them are hidden_1, hidden_2, …"""


def _are_layers(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and all(map(_is_layer, value)))


def _is_layer(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"{ENCODER}|hidden_[1-9]\d*|{OUTPUT}", name) is not None


@dataclass(frozen=True, kw_only=True)
class Freeze(FineTune):
    """Fine-tunes with some layers of actor and critics frozen, for good or for a time."""

    name: ClassVar[str] = "freeze"
    crosses_spaces: ClassVar[bool] = True
    rules: ClassVar[Mapping[str, Rule]] = {
        **FineTune.rules,
        "frozen": Rule(_are_layers, f"names of layers, {ENCODER}, hidden_1, hidden_2, …, {OUTPUT}, or null"),
        "thaw_every": whole(1, none=True),
        "rate_decay": number(0.0, 1.0, above=True),
    }

    frozen: Sequence[str] | None = None
    """Names of the frozen layers, ``hidden_1``, ``hidden_2``, …, ``output``, and ``encoder``, what reads pictures; all
    but the last if ``None``."""
    thaw_every: int | None = None
    """Steps after each of which one more frozen layer thaws, the last first; none does if ``None``."""
    rate_decay: float = 1.0
    """Factor from the learning rate of a layer to that of the one before it."""

    @property
    def changes_update(self) -> bool:
        """Every layer has a learning rate of its own."""
        return True

    def check(self, training: TrainingConfig, source: Mapping[str, Any]) -> None:
        """Check that there are such layers, and that something is learned within the budget.

        Raises:
            Sim2RealError: It is not so.
        """
        super().check(training, source)
        if source.get("use_sde") and training.algo != "ppo":
            raise Sim2RealError(
                f"{self.name} needs a source policy without state-dependent exploration (use_sde); use plain finetune."
            )
        if "net_arch" not in source:  # it is found when the networks are there
            return
        net_arch = source["net_arch"]
        hidden = {name: len(widths) for name, widths in net_arch.items()} if isinstance(net_arch, Mapping) else {}
        actor = hidden["pi"] if hidden else len(net_arch)
        with closing(training.world.make()) as env:
            encoder = has_pictures(env.observation_space)
        deepest = max(hidden.values(), default=actor)
        self._check_layers(_layer_names(actor, encoder), _layer_names(deepest, encoder), training.steps)

    def _check_layers(self, actor: Sequence[str], names: Sequence[str], steps: int) -> Sequence[str]:
        """Return the names of the frozen layers, given those of the actor's layers and of the deepest network's."""
        frozen = names[:-1] if self.frozen is None else self.frozen
        for name in frozen:
            if name not in names:
                raise Sim2RealError(f"frozen = {list(frozen)}: the networks have the layers {', '.join(names)}.")
        if set(actor) <= set(frozen):
            if self.thaw_every is None:
                raise Sim2RealError(
                    "with all layers of the actor frozen nothing is learned; leave one out, or give thaw_every."
                )
            if self.thaw_every >= steps:
                raise Sim2RealError(
                    f"thaw_every = {self.thaw_every} thaws nothing within {steps} steps, and all layers of the actor "
                    f"are frozen; lower it."
                )
        return frozen

    def prepare(
        self, learner: BaseAlgorithm, source: Policy | None, training: TrainingConfig
    ) -> Sequence[BaseCallback]:
        """Copy networks and normalizer; return the callbacks that freeze and thaw.

        Raises:
            Sim2RealError: A network has no layer of a name in ``frozen``, or all of the actor are frozen for good.
        """
        callbacks = super().prepare(learner, source, training)
        networks = _layers(learner)
        hidden = max(len(layers) - (ENCODER in layers) for layers in networks.values()) - 1
        names = _layer_names(hidden, any(ENCODER in layers for layers in networks.values()))
        frozen = self._check_layers([*networks["actor"]], names, training.steps)
        rates = _Rates(networks, frozen, self.thaw_every, self.rate_decay)
        if isinstance(learner.policy, ActorCriticPolicy):
            _scale_steps(learner.policy, rates)
        else:
            check_changeable(getattr(learner, "_unsupported", None))
        return [*callbacks, rates]


class _Rates(BaseCallback):
    """Sets the learning rate of every layer, as a function of the step.

    Args:
        networks: Layers of the ``actor`` and of the ``critic`` by name, from the first on; of each the names of its
            parameters.
        frozen: Names of layers.
        every: Steps between two thaws.
        decay: Factor between the rates of neighbours.
    """

    def __init__(
        self,
        networks: Mapping[str, Mapping[str, Sequence[str]]],
        frozen: Sequence[str],
        every: int | None,
        decay: float,
    ) -> None:
        super().__init__()
        self._networks, self._frozen, self._every, self._decay = networks, frozen, every, decay
        self._step = 0
        self.now: dict[str, float] = {}
        """Factors of actor and critic in this rollout, by the names of the parameters."""

    def _on_rollout_start(self) -> None:
        model: Any = self.model
        self._step = model.num_timesteps
        if not isinstance(model.policy, ActorCriticPolicy):
            model.scale_rates(self.factors("actor"), self.factors("critic"))
        else:
            self._scale({**self.factors("actor"), **self.factors("critic")})
        for network, layers in self._networks.items():
            factors = self.factors(network)
            frozen = sum(all(factors[name] == 0.0 for name in layer) for layer in layers.values())
            self.logger.record(f"freeze/frozen_layers_{network}", frozen)

    def _scale(self, factors: dict[str, float]) -> None:
        """Take other factors, and let Adam begin anew with what thaws.

        With moments of zero its first steps would be several times too long.
        """
        model: Any = self.model
        for name, parameter in model.policy.named_parameters():
            if self.now.get(name) == 0.0 and factors.get(name) != 0.0:
                model.policy.optimizer.state.pop(parameter, None)
        self.now = factors

    def _on_step(self) -> bool:
        return True

    def factors(self, network: str) -> dict[str, float]:
        """Return the factor on the learning rate of every parameter."""
        layers = self._networks[network]
        still = [name for name in layers if name in self._frozen]
        if self._every is not None:
            still = still[: max(0, len(still) - self._step // self._every)]
        found: dict[str, float] = {}
        for depth, (name, parameters) in enumerate(reversed([*layers.items()])):
            found |= dict.fromkeys(parameters, 0.0 if name in still else self._decay**depth)
        return found


def _layer_names(hidden: int, encoder: bool) -> list[str]:
    return [*([ENCODER] if encoder else ()), *(f"hidden_{index}" for index in range(1, hidden + 1)), OUTPUT]


def _layers(learner: BaseAlgorithm) -> dict[str, dict[str, list[str]]]:
    """Return the layers of the actor and of (each) critic by name; of each the names of its parameters.

    What reads pictures for both is the actor's.
    """
    policy: Any = learner.policy
    if isinstance(policy, ActorCriticPolicy):
        extractor = policy.mlp_extractor
        actor = _by_layer("mlp_extractor.policy_net", extractor.policy_net)
        last = _names("action_net", policy.action_net)
        if hasattr(policy, "log_std"):
            last.append("log_std")
        critic = _by_layer("mlp_extractor.value_net", extractor.value_net)
        own = [] if policy.share_features_extractor else _names("vf_features_extractor", policy.vf_features_extractor)
        return {
            "actor": _called(_names("features_extractor", policy.features_extractor), [*actor, last]),
            "critic": _called(own, [*critic, _names("value_net", policy.value_net)]),
        }
    critic = _by_layer("", policy.critic.q_networks[0])
    if hasattr(policy.actor, "latent_pi"):
        actor = _by_layer("latent_pi", policy.actor.latent_pi)
        actor.append([*_names("mu", policy.actor.mu), *_names("log_std", policy.actor.log_std)])
    else:
        actor = _by_layer("mu", policy.actor.mu)
    return {
        "actor": _called(_names("features_extractor", policy.actor.features_extractor), actor),
        "critic": _called(_names("features_extractor", policy.critic.features_extractor), critic),
    }


def _called(encoder: list[str], layers: list[list[str]]) -> dict[str, list[str]]:
    """Return layers by name, given the parameters of the encoder, if it has some, and of the layers behind it."""
    found = [encoder, *layers] if encoder else layers
    return dict(zip(_layer_names(len(layers) - 1, bool(encoder)), found, strict=True))


def _by_layer(prefix: str, layers: torch.nn.Module) -> list[list[str]]:
    named = [(f"{prefix}.{name}".lstrip("."), layer) for name, layer in layers.named_children()]
    return [names for name, layer in named if (names := _names(name, layer))]


def _names(prefix: str, layer: torch.nn.Module) -> list[str]:
    return [f"{prefix}.{name}" for name, _ in layer.named_parameters()]


def _scale_steps(policy: ActorCriticPolicy, rates: _Rates) -> None:
    """Let every step of an optimizer go only a part of its way, parameter by parameter.

    What goes no way at all has no gradient, so that it has no part in the norm by which gradients are clipped.
    """
    parameters = dict(policy.named_parameters())
    before: dict[str, torch.Tensor] = {}

    def masked(name: str) -> Callable[[torch.Tensor], torch.Tensor | None]:
        return lambda gradient: torch.zeros_like(gradient) if rates.now.get(name) == 0.0 else None

    def remember(*_: Any) -> None:
        before.update({name: p.detach().clone() for name, p in parameters.items() if 0.0 < rates.now[name] < 1.0})

    def go_back(*_: Any) -> None:
        with torch.no_grad():
            for name, start in before.items():
                parameters[name].copy_(torch.lerp(start, parameters[name], rates.now[name]))
        before.clear()

    for name, parameter in parameters.items():
        parameter.register_hook(masked(name))  # type: ignore[no-untyped-call]
    policy.optimizer.register_step_pre_hook(remember)
    policy.optimizer.register_step_post_hook(go_back)
