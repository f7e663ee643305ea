"""Alignment: what the numbers of another body mean is found out by what they do.

Two arms both have joints, and both have a hand. What the hand does is told in the same terms (trusted channels, c);
which joint is which, and which way it turns, is not. With a source policy that reads x and says v, and a target that
shows y and takes u, an affine encoder and decoder

    x = A y + a,    u = B v + b

are sought such that actions have the same effects. With forward models of the effects, f(x, v) ≈ c(x⁺) − c(x) fitted
to source steps and f'(y, u) ≈ c(y⁺) − c(y) fitted to target steps, and g(x_l) ≈ c(x), which says what the learned
numbers x_l go with in the source, they minimize over target steps

    E |w (f'(y, B v + b) − f(A y + a, v))|² + E |w_g (g(x_l) − c(y))|² + E |far(x_l)|² + ρ |B|²

where v is what the source policy says of A y + a, with noise, and far = (|x_l − μ|/σ − 2)₊ is 0 where the source has
mostly been: elsewhere its policy was never asked. w and w_g weigh a channel by how well the models predict it. What
changes at a rate changes at the same one in both bodies: a channel in U/s has the matrix of that in U.

This is dynamics consistency without the cycle, of Zhang et al. (2021), "Learning cross-domain correspondence for
control with dynamics cycle-consistency", whose maps are networks; affine ones need some hundred target steps, and
vanish in the first and the last layer of the policy (:mod:`~sim2real.transfer.translate`).

Actions are scaled to [−1, 1]; where they are squashed by a tanh, B acts before it, as in the translated policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sim2real.deployment.policy import Policy
from sim2real.transfer.models import Fitted, Standardize, mlp
from sim2real.transfer.space_map import Array, Link, Numbers, Part, SpaceMap
from sim2real.transfer.translate import scaled_actions

_HELD_OUT = 0.1
_BATCH = 256
_WEIGHT_DECAY = 1e-2
_RATE = 1e-2
_NOISE = 0.5
"""Standard deviation of the noise on the source policy's actions; all of their range has to be heard of."""
_SMALL = 1e-2
"""ρ."""
_WITHIN = 2.0
"""Standard deviations around the mean of the source, in which learned numbers should stay."""
_EDGE = 0.05
"""How near to their bounds actions are taken back through the tanh."""


class Steps(NamedTuple):
    """Steps in a world, none of them the last of an episode."""

    observations: NDArray[np.float32]
    """Shape (n, observation)."""
    actions: NDArray[np.float32]
    """In the env's own numbers, shape (n, action)."""
    after: NDArray[np.float32]
    """The next observations, shape (n, observation)."""


@dataclass(frozen=True, eq=False)
class Trusted:
    """Numbers that both worlds tell in the same terms."""

    rows: NDArray[np.intp]
    """Where they stand in what the policy reads."""
    columns: NDArray[np.intp]
    """Where they stand in what the env shows."""
    scale: Array
    """From the env's to the policy's."""
    offset: Array
    """The same."""


def trusted(part: Part) -> Trusted:
    """Return the numbers of a map of observations that are one number of the env's each, and not of its body."""
    own = of_body(part.wanted) | (np.abs(part.matrix) > 0.0) @ of_body(part.given)
    alone = ((part.matrix != 0.0).sum(axis=1) == 1) & ~own
    rows = np.flatnonzero(alone)
    columns = (part.matrix[rows] != 0.0).argmax(axis=1)
    return Trusted(rows, columns, part.matrix[rows, columns], part.offset[rows])


def rates(part: Part) -> list[tuple[slice, slice, slice, slice]]:
    """Return which of the body's numbers are rates of which others, by their units, as rad/s of rad.

    Returns:
        Of each pair where the policy reads the number and its rate, and where the env shows them.
    """
    found = []
    for channel in part.wanted.channels:
        for other in part.wanted.channels:
            names = {given.name: given for given in part.given.channels}
            if not (channel.of_body and other.of_body and other.unit == f"{channel.unit}/s"):
                continue
            if channel.width == other.width and {channel.name, other.name} <= set(names):
                sides = [(part.wanted, (channel, other)), (part.given, (names[channel.name], names[other.name]))]
                if sides[1][1][0].width == sides[1][1][1].width:
                    places = [numbers.place(one) for numbers, pair in sides for one in pair]
                    found.append((places[0], places[1], places[2], places[3]))
    return found


def of_body(numbers: Numbers) -> NDArray[np.bool_]:
    """Return which numbers are told in terms of the body, shape (n,)."""
    return np.array([channel.of_body for channel in numbers.channels for _ in range(channel.width)], dtype=bool)


def learnable(part: Part) -> NDArray[np.bool_]:
    """Return from which of the env's numbers each of the policy's is learned, shape (policy, env).

    Those of the body, from those of the other body in the same unit.
    """
    units = [np.array([c.unit for c in side.channels for _ in range(c.width)]) for side in (part.wanted, part.given)]
    same = units[0][:, None] == units[1][None]
    body = of_body(part.wanted)[:, None] & of_body(part.given)[None]
    found: NDArray[np.bool_] = same & body
    return found


class _Model(nn.Module):
    """A network that predicts numbers, in units of their standard deviation, and how well it does."""

    def __init__(self, inputs: Tensor, outputs: Tensor, updates: int) -> None:
        super().__init__()
        self.reads, self.says = Standardize(inputs.shape[1]), Standardize(outputs.shape[1])
        self.reads.fit(inputs)
        self.says.fit(outputs)
        self.network = mlp(inputs.shape[1], outputs.shape[1], nn.SiLU)
        order = torch.randperm(len(inputs))
        held, known = order[: max(1, int(_HELD_OUT * len(order)))], order[max(1, int(_HELD_OUT * len(order))) :]
        fitted = Fitted(self.network, weight_decay=_WEIGHT_DECAY)
        wanted = self.says(outputs)
        for _ in range(updates):
            rows = known[torch.randint(len(known), (_BATCH,))]
            fitted.step((self(inputs[rows]) - wanted[rows]).square().mean())
        with torch.no_grad():
            error = (self(inputs[held]) - wanted[held]).square().mean(0)
            # R² of a half or less counts nothing: that much may come from where the policy happens to go.
            self.weight = (1.0 - 2.0 * error / wanted[held].var(0, unbiased=False).clamp(min=1e-6)).clamp(min=0.0)
        self.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.network(self.reads(inputs))
        return found

    def predict(self, inputs: Tensor) -> Tensor:
        """Return the numbers in their own units."""
        found: Tensor = self(inputs) * self.says.std + self.says.mean
        return found


def align(policy: Policy, space_map: SpaceMap, source: Steps, target: Steps, *, updates: int, seed: int) -> SpaceMap:
    """Learn the parts of a map that names do not say: which of the body's numbers is which, and what its actions do.

    Args:
        policy: The source policy.
        space_map: Where to begin, and what is trusted.
        source: Steps in the source world.
        target: Steps in the target.
        updates: Gradient steps of each model and of the map.
        seed: Of all that is drawn.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _align(policy, space_map, source, target, updates)


def _align(policy: Policy, space_map: SpaceMap, source: Steps, target: Steps, updates: int) -> SpaceMap:
    seen, part = space_map.observation, space_map.action
    known, free = trusted(seen), torch.from_numpy(learnable(seen))
    squashed = policy.algo != "ppo"
    x, y = torch.from_numpy(source.observations), torch.from_numpy(target.observations)
    v, u = (_scaled(steps.actions, numbers) for steps, numbers in ((source, part.given), (target, part.wanted)))
    scale, offset = torch.from_numpy(known.scale).float(), torch.from_numpy(known.offset).float()

    def told(observations: Tensor) -> Tensor:
        return observations[:, known.columns] * scale + offset

    change = torch.from_numpy(source.after)[:, known.rows] - x[:, known.rows]
    effect = _Model(torch.cat((x, v), 1), change, updates)
    effect_there = _Model(torch.cat((y, u), 1), told(torch.from_numpy(target.after)) - told(y), updates)
    learned = free.any(1)
    goes_with = _Model(x[:, learned], x[:, known.rows], updates) if learned.any() else None
    weight = effect.weight * effect_there.weight

    encoder, shift = torch.from_numpy(seen.matrix).float(), torch.from_numpy(seen.offset).float()
    actions = scaled_actions(part)
    decoder, bias = torch.from_numpy(actions.matrix).float(), torch.from_numpy(actions.offset).float()
    mean, std = x.mean(0), x.std(0).clamp(min=1e-3)
    fresh = learned & (shift == 0.0)  # postures begin where the source's are
    shift = torch.where(fresh, mean - encoder @ y.mean(0), shift)
    encoder.requires_grad_(), shift.requires_grad_(), decoder.requires_grad_()
    optimizer = torch.optim.Adam([encoder, shift, decoder], lr=_RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    held = torch.from_numpy(seen.matrix).float(), shift.detach().clone()
    gone = torch.from_numpy(~(seen.matrix.any(axis=1) | seen.constant)) & ~learned
    pairs = rates(seen)

    def encoding() -> tuple[Tensor, Tensor]:
        matrix, offset = torch.where(free, encoder, held[0]), torch.where(learned, shift, held[1])
        for number, rate, shown, shown_rate in pairs:
            matrix[rate, :], offset[rate] = 0.0, 0.0
            matrix[rate, shown_rate] = matrix[number, shown].clone()
        return matrix, offset

    for _ in range(updates):
        now = y[torch.randint(len(y), (_BATCH,))]
        matrix, start = encoding()
        read = now @ matrix.T + start
        read = torch.where(gone, mean, read)
        with torch.no_grad():
            done = _acted(policy, read)
            done = (done + _NOISE * torch.randn_like(done)).clamp(_EDGE - 1.0, 1.0 - _EDGE)
            meant = torch.atanh(done) if squashed else done
        taken = meant @ decoder.T + bias
        taken = torch.tanh(taken) if squashed else taken.clamp(-1.0, 1.0)
        apart = effect_there.predict(torch.cat((now, taken), 1)) - effect.predict(torch.cat((read, done), 1))
        loss = (weight * (apart / effect.says.std).square()).mean()
        loss = loss + _SMALL * decoder.square().mean()
        if goes_with is not None:
            own = read[:, learned]
            strange = goes_with(own) - goes_with.says(told(now))
            far = ((own - mean[learned]).abs() / std[learned] - _WITHIN).clamp(min=0.0)
            loss = loss + (goes_with.weight * strange.square()).mean() + far.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    with torch.no_grad():
        read_by, offsets = (part.double().numpy() for part in encoding())
        said_by = _unscaled(decoder.double().numpy(), part)
    return SpaceMap(
        replace(seen, matrix=read_by, offset=offsets, links=_learned_links(seen)),
        replace(part, matrix=said_by, links=_learned_actions(part)),
        space_map.warnings,
    )


def _scaled(actions: NDArray[np.float32], numbers: Numbers) -> Tensor:
    """Return actions in [−1, 1], from the numbers of a world."""
    half, middle = 0.5 * (numbers.high - numbers.low), 0.5 * (numbers.high + numbers.low)
    return torch.from_numpy(((actions - middle) / half).astype(np.float32))


def _unscaled(matrix: Array, part: Part) -> Array:
    """Return the matrix of a map of actions, from that of the scaled ones."""
    half, half_given = (0.5 * (numbers.high - numbers.low) for numbers in (part.wanted, part.given))
    found: Array = matrix * half[:, None] / half_given
    return found


def _acted(policy: Policy, observations: Tensor) -> Tensor:
    """Return the actions of a policy, scaled to [−1, 1]."""
    space: Any = policy.action_space
    actions = policy.predict(observations.numpy())
    return torch.from_numpy((2.0 * (actions - space.low) / (space.high - space.low) - 1.0).astype(np.float32))


def _learned_links(part: Part) -> tuple[Link, ...]:
    own = {channel.name for channel in part.wanted.channels if channel.of_body}
    others = ", ".join(str(channel) for channel in part.given.channels if channel.of_body)
    links = []
    for link in part.links:
        if link.policy.partition("[")[0] in own and link.what != "learned":
            link = Link("learned", link.policy, link.env or others, "from what actions do")
        links.append(link)
    return tuple(links)


def _learned_actions(part: Part) -> tuple[Link, ...]:
    policy, env = (", ".join(map(str, side.channels)) for side in (part.given, part.wanted))
    return (Link("learned", policy, env, "from what actions do"),)


def joined(parts: Sequence[Steps]) -> Steps:
    """Return steps one after the other."""
    return Steps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
