"""Networks and optimizers as functions of their parameters, so that a whole update is one graph.

Stable-Baselines3's modules and optimizers stay the owners of every number: the tensors here are their storage, or
stacked tensors of which theirs are views. What acts, saves and loads goes on using them and sees every update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

Parameters = dict[str, Tensor]
State = tuple[Parameters, Parameters, Parameters]
"""Parameters, first and second moments."""


RESTING = (0.0, 1.0, 1.0, 1.0, 0.0)
"""Rates of an Adam step that moves nothing, see :meth:`Group.advance`."""


class UnsupportedError(Exception):
    """A learner has a part that the fast form does not know; the message names it."""


class Chain:
    """Linear layers and activations in a row; with stacked parameters, an ensemble of such rows at once.

    Args:
        layers: The module whose structure it has; its parameters are not used.

    Raises:
        UnsupportedError: There is no layer, or one is neither linear nor free of parameters.
    """

    def __init__(self, layers: nn.Module) -> None:
        self.structure = repr(layers)
        """Says all there is to the chain: types, sizes and order of its layers."""
        self._layers = tuple(layers.named_children())
        if not self._layers:
            raise UnsupportedError("a network without hidden layers")
        for _, layer in self._layers:
            if not isinstance(layer, nn.Linear) and any(True for _ in (*layer.parameters(), *layer.buffers())):
                raise UnsupportedError(f"a layer of type {type(layer).__name__}")
            if isinstance(layer, nn.Linear) and layer.bias is None:
                raise UnsupportedError("a linear layer without bias")

    def __call__(self, parameters: Mapping[str, Tensor], x: Tensor, prefix: str = "") -> Tensor:
        """Return the output for a batch.

        Args:
            parameters: By name as in the module, behind ``prefix``; a weight has shape (out, in), or (n, out, in) for
                an ensemble of n.
            x: Shape (batch, in), or (n, batch, in) for an ensemble.
            prefix: In front of every name.

        Returns:
            Shape (batch, out), or (n, batch, out).
        """
        stacked = parameters[f"{prefix}{self._layers[0][0]}.weight"].dim() == 3
        if stacked:
            x = x.transpose(1, 2)
        for name, layer in self._layers:
            if isinstance(layer, nn.Linear):
                weight, bias = parameters[f"{prefix}{name}.weight"], parameters[f"{prefix}{name}.bias"]
                x = torch.bmm(weight, x) + bias.unsqueeze(2) if stacked else torch.addmm(bias, x, weight.t())
            else:
                x = layer(x)
        return x.transpose(1, 2) if stacked else x


def linear(parameters: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Return ``x W^T + b`` of the layer called ``name``."""
    return torch.addmm(parameters[f"{name}.bias"], x, parameters[f"{name}.weight"].t())


ENCODER = "features_extractor."
"""In front of the names of an encoder's parameters."""


class Encoder:
    """What a features extractor of SB3 makes of observations: a row of numbers each.

    Args:
        extractor: A FlattenExtractor, or a NatureCNN for pictures; its parameters are not used.
        pictures: Whether the observations are pictures, from 0 to 255.

    Raises:
        UnsupportedError: It has a layer of another type.
    """

    def __init__(self, extractor: nn.Module, *, pictures: bool) -> None:
        self.structure = f"{extractor!r}, pictures={pictures}"
        """Says all there is to it."""
        self._pictures = pictures
        self._layers = [
            (f"{ENCODER}{name}", layer) for name, layer in extractor.named_modules() if not [*layer.children()]
        ]
        for _, layer in self._layers:
            if not isinstance(layer, (nn.Conv2d, nn.Linear)) and [*layer.parameters()]:
                raise UnsupportedError(f"a layer of type {type(layer).__name__}")

    def __call__(self, parameters: Mapping[str, Tensor], observations: Tensor) -> Tensor:
        """Return the features (B, features) of observations (B, ...).

        Args:
            parameters: Among others those of the encoder, by name behind :data:`ENCODER`.
            observations: As the replay buffer holds them, normalized.
        """
        x = observations.float()
        if self._pictures:
            x = x / 255.0
        for name, layer in self._layers:
            if isinstance(layer, nn.Conv2d):
                weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
                x = nn.functional.conv2d(x, weight, bias, layer.stride, layer.padding)
            elif isinstance(layer, nn.Linear):
                x = linear(parameters, name, x)
            else:
                x = layer(x)
        return x


class Group:
    """The parameters that one optimizer owns, with its two moments, under names.

    Args:
        modules: Modules of equal structure; those of an ensemble are stacked.
        optimizer: SB3's Adam over them; ``None`` for parameters that only follow others.
        stacked: Whether to stack, also a single module.
        shared: Parameters that the modules share, which are not stacked.

    Raises:
        UnsupportedError: The optimizer is not a plain Adam.
    """

    def __init__(
        self,
        modules: Sequence[Mapping[str, Tensor]],
        optimizer: torch.optim.Optimizer | None,
        *,
        stacked: bool,
        shared: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._stacked = frozenset(modules[0] if stacked else ())
        self._parts: dict[str, Sequence[Tensor]] = {name: [module[name] for module in modules] for name in modules[0]}
        self._parts |= {name: [parameter] for name, parameter in (shared or {}).items()}
        self.values: Parameters = {}
        self.first: Parameters = {}
        self.second: Parameters = {}
        self.scales: Parameters = {}
        """Factors on the learning rate by name, of those parameters that have them; set by :meth:`scale`."""
        self.steps = 0
        if optimizer is not None:
            if type(optimizer) is not torch.optim.Adam or len(optimizer.param_groups) != 1:
                raise UnsupportedError(f"an optimizer of type {type(optimizer).__name__}")
            settings = optimizer.param_groups[0]
            if settings["weight_decay"] or settings["amsgrad"] or settings["maximize"]:
                raise UnsupportedError("an Adam with weight decay, amsgrad or maximize")
            self.betas: tuple[float, float] = settings["betas"]
            self.eps: float = settings["eps"]
        self._marker: Tensor | None = None
        self._join()

    @property
    def _sample(self) -> Tensor:
        return next(iter(self._parts.values()))[0]

    def _join(self) -> None:
        for name, parts in self._parts.items():
            # A loaded file may have given a parameter other storage.
            if name not in self.values or self.values[name].data_ptr() != parts[0].data_ptr():
                self.values[name] = self._joined(name, parts)

    def _joined(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        """Return a tensor of which the given ones become views, holding what they hold."""
        if name not in self._stacked:
            return parts[0].detach()
        whole = torch.stack([part.detach() for part in parts])
        for view, part in zip(whole, parts, strict=True):
            part.data = view
        return whole

    def bind(self) -> None:
        """Take over parameters and moments, where they are not the ones here: at first, and after a file was loaded."""
        self._join()
        if self._optimizer is None:
            return
        state = self._optimizer.state
        if self._marker is not None and state.get(self._sample, {}).get("exp_avg") is self._marker:
            return
        steps = [float(state[p]["step"]) for parts in self._parts.values() for p in parts if p in state]
        self.steps = int(max(steps, default=0))
        for name, parts in self._parts.items():
            stacked = name in self._stacked
            for moments, key in ((self.first, "exp_avg"), (self.second, "exp_avg_sq")):
                held = [state[p][key] if p in state else torch.zeros_like(p) for p in parts]
                moments[name] = torch.stack([h.detach() for h in held]) if stacked else held[0].detach()
            for index, p in enumerate(parts):
                views = (self.first[name], self.second[name])
                first, second = (view[index] for view in views) if stacked else views
                state[p] = {"step": torch.tensor(float(self.steps)), "exp_avg": first, "exp_avg_sq": second}
        self._marker = state[self._sample]["exp_avg"]

    def publish(self) -> None:
        """Tell the optimizer how many steps were made."""
        if self._optimizer is not None and self._marker is not None:
            for parts in self._parts.values():
                for p in parts:
                    if p in self._optimizer.state:
                        self._optimizer.state[p]["step"].fill_(float(self.steps))

    def scale(self, factors: Mapping[str, float | Tensor]) -> None:
        """Multiply the learning rate of some parameters, or of their elements; with 0 they keep every bit.

        Their moments go on: with those of zero, what thaws would make steps several times too long.

        Args:
            factors: By name, each at least 0: one for the whole parameter, or a tensor of its shape in the module. The
                same names and shapes in every call, as the update is compiled for them.
        """
        for name, factor in factors.items():
            value = self.values[name]
            held = torch.as_tensor(factor, dtype=value.dtype, device=value.device).clone()
            if name in self.scales and self.scales[name].shape == held.shape:
                self.scales[name].copy_(held)
            else:
                self.scales[name] = held

    @property
    def scaled(self) -> tuple[tuple[str, torch.Size], ...]:
        """Says for which parameters there are factors, and of what shape."""
        return tuple((name, factors.shape) for name, factors in self.scales.items())

    @property
    def state(self) -> State:
        """Parameters and moments, the tensors themselves."""
        return self.values, self.first, self.second

    def advance(self, optimizer: torch.optim.Optimizer) -> list[float]:
        """Count a step, unless the parameters are frozen (``requires_grad`` is off).

        Returns:
            ``[lr, t, 1 - b1^t, sqrt(1 - b2^t), 1]``, or ``[0, 1, 1, 1, 0]`` where nothing may move.
        """
        if not self._sample.requires_grad:
            return list(RESTING)
        self.steps += 1
        beta1, beta2 = self.betas
        rate: float = optimizer.param_groups[0]["lr"]
        return [rate, float(self.steps), 1.0 - beta1**self.steps, (1.0 - beta2**self.steps) ** 0.5, 1.0]


def adam_(
    state: State,
    gradients: Mapping[str, Tensor],
    rates: Tensor,
    scales: Mapping[str, Tensor],
    betas: tuple[float, float],
    eps: float,
) -> None:
    """Make one Adam step in place (Kingma & Ba, 2015, algorithm 1, with the bias corrections in ``rates``).

    Args:
        state: What is moved, and its moments.
        gradients: By the same names.
        rates: Shape (5,), from :meth:`Group.advance`. With the last at 0 parameters and moments keep every bit.
        scales: Factors on the learning rate, from :meth:`Group.scale`; those of elements are the same for all of an
            ensemble.
        betas: Decay of the two moments.
        eps: Added to the denominator.
    """
    values, firsts, seconds = state
    if torch.compiler.is_compiling():
        rate, _, correction1, correction2, moving = rates.unbind()
        for name, gradient in gradients.items():
            first, second = firsts[name], seconds[name]
            scaled = rate * scales[name] if name in scales else rate
            first.lerp_(gradient, (1.0 - betas[0]) * moving)
            second.lerp_(gradient * gradient, (1.0 - betas[1]) * moving)
            values[name].sub_((scaled / correction1) * first / (second.sqrt() / correction2 + eps))
    elif rates[4]:
        # The fused step has one rate for a parameter: one with a factor for every element goes back a part of its way.
        before = {name: values[name].clone() for name in gradients if name in scales and scales[name].dim()}
        scale_of = {name: float(scales[name]) if name in scales and name not in before else 1.0 for name in gradients}
        for scale in sorted(set(scale_of.values())):
            names = [name for name in gradients if scale_of[name] == scale]
            torch._fused_adam_(
                [values[name] for name in names],
                [gradients[name] for name in names],
                [firsts[name] for name in names],
                [seconds[name] for name in names],
                [],
                [rates[1]] * len(names),
                lr=float(rates[0]) * scale,
                beta1=betas[0],
                beta2=betas[1],
                weight_decay=0.0,
                eps=eps,
                amsgrad=False,
                maximize=False,
            )
        for name, start in before.items():
            values[name].copy_(torch.lerp(start, values[name], scales[name]))


def polyak_(target: Mapping[str, Tensor], source: Mapping[str, Tensor], tau: Tensor) -> None:
    """Move a target network towards its source: ``target = (1 - tau) target + tau source``."""
    if torch.compiler.is_compiling():
        for name, tensor in target.items():
            tensor.mul_(1.0 - tau).add_(tau * source[name])
    else:
        torch._foreach_lerp_(list(target.values()), [source[name] for name in target], float(tau))


def gradients(
    loss: Callable[[Parameters], tuple[Tensor, Tensor]], parameters: Parameters
) -> tuple[Parameters, Tensor, Tensor]:
    """Return the gradient of a loss, the loss, and what else the loss function returns.

    Args:
        loss: Maps parameters to (loss, something else).
        parameters: Where the gradient is taken.
    """
    if torch.compiler.is_compiling():
        slopes, (value, other) = torch.func.grad_and_value(loss, has_aux=True)(parameters)
        return slopes, value, other
    # Outside of a graph, autograd costs half of what the functional transform does.
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}
    with torch.enable_grad():
        value, other = loss(leaves)
        found = torch.autograd.grad(value, list(leaves.values()))
    return dict(zip(leaves, found, strict=True)), value.detach(), other.detach()
