"""Small networks that a transfer method fits beside the learner."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

HIDDEN = (64, 64)
"""Widths of the hidden layers of all of them."""
_LEARNING_RATE = 1e-3
_MODULE, _ADAM = "module", "adam"


def mlp(inputs: int, outputs: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return an MLP with the hidden layers :data:`HIDDEN`."""
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise((inputs, *HIDDEN)):
        parts += [nn.Linear(before, after), activation()]
    return nn.Sequential(*parts, nn.Linear(HIDDEN[-1], outputs))


class Standardize(nn.Module):
    """Shifts and scales every component to mean 0 and standard deviation 1 in the data that it was fitted to.

    Args:
        size: Components.
    """

    mean: Tensor
    std: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, x: Tensor) -> None:
        """Take mean and standard deviation from data (n, size); a component that does not vary is not scaled."""
        self.count.fill_(len(x))
        self.mean.copy_(x.mean(0))
        std = x.std(0)
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the standardized data."""
        return (x - self.mean) / self.std


class Fitted:
    """A module with an optimizer of its own, whose state goes into checkpoints.

    Args:
        module: What is fitted.
        weight_decay: Of AdamW, for little data.
    """

    def __init__(self, module: nn.Module, weight_decay: float = 0.0) -> None:
        self.module = module
        parameters = list(module.parameters())
        self._optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=weight_decay, fused=True)

    def step(self, loss: Tensor) -> None:
        """Make one step of AdamW down the slope of a loss."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all numbers by name."""
        found = {f"{_MODULE}/{name}": tensor.numpy().copy() for name, tensor in self.module.state_dict().items()}
        for index, slots in self._optimizer.state_dict()["state"].items():
            found |= {f"{_ADAM}/{index}/{slot}": tensor.numpy().copy() for slot, tensor in slots.items()}
        return found

    def load(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take up what :meth:`state` has returned."""
        self.module.load_state_dict({name: torch.from_numpy(array) for name, array in _below(_MODULE, state).items()})
        slots: dict[int, dict[str, Tensor]] = {}
        for name, array in _below(_ADAM, state).items():
            index, _, slot = name.partition("/")
            slots.setdefault(int(index), {})[slot] = torch.tensor(array)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": slots, "param_groups": groups})


class Beside(BaseCallback):
    """A network that is fitted beside the learner: a companion of its checkpoints, with figures in its log.

    Args:
        name: In front of the figures.
        module: The network.
    """

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__()
        self._name, self.fitted = name, Fitted(module)
        self.figures: dict[str, float] = {}

    def state(self) -> dict[str, Any]:
        """Return network and optimizer; see :class:`~sim2real.training.checkpoint.Companion`."""
        return dict(self.fitted.state())

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them up again."""
        self.fitted.load(state)

    def begin_segment(self, seed: int) -> None:
        """Nothing here has a stream of its own."""

    def close(self) -> None:
        """Nothing here is open."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        for name, value in self.figures.items():
            self.logger.record(f"{self._name}/{name}", value)


def _below(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(f"{prefix}/"): v for name, v in state.items() if name.startswith(f"{prefix}/")}
