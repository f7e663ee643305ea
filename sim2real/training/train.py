"""Training: from an env, or from a source policy in a new env, to a run folder with a policy bundle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from sim2real.deployment.bundle import load_policy, provenance
from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.domains.contract import action_channels, domain_space, observation_channels, privileged_channels
from sim2real.domains.randomizers import Adaptive, RandomizerSpec
from sim2real.domains.targets import check_targets
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.evaluation.rollouts import Evaluator
from sim2real.files import check_plain
from sim2real.progress import show_progress
from sim2real.seeding import derive_seed
from sim2real.training.callbacks import Chooser, Milestones, Progress, ReportProgress, RewardTerms, settle
from sim2real.training.checkpoint import Companion, list_checkpoints, load_checkpoint
from sim2real.training.fast.overlap import OverlapMixin
from sim2real.training.folder import RunFolder
from sim2real.training.hyperparameters import default_algorithm, resolve_hyperparameters, tuned_steps
from sim2real.training.learner import check_spaces, make_learner, make_training_env
from sim2real.training.randomization import Randomization, adaptive_randomizer, check_outcomes, evaluated
from sim2real.training.sampler.remote import RemoteVecEnv
from sim2real.training.trackers import Begin, find_tracker

Prepare = Callable[[BaseAlgorithm], Sequence[BaseCallback]]
"""Puts a fresh learner into its initial state and returns the callbacks that go with it; a transfer method's part."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that determines a training, JSON-plain by :meth:`to_dict`."""

    world: World
    """Where it trains."""
    algo: str
    """``"sac"``, ``"td3"``, ``"tqc"`` or ``"ppo"``."""
    hyperparameters: Mapping[str, Any]
    """Full hyperparameters."""
    randomizer: RandomizerSpec
    """Where the domains of its episodes come from."""
    steps: int
    """Env steps, over all envs."""
    seed: int
    """From which everything random derives."""
    n_envs: int
    """Envs collected from in turn."""
    eval_every: int
    """Steps between two points of the curve."""
    eval_episodes: int
    """Episodes of a point."""
    checkpoint_every: int
    """Steps between two checkpoints; part of the definition, since every checkpoint begins a new segment."""
    overlap: bool = False
    """Whether it learns while the envs step, one rollout late."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """What it starts from, where that is not a fresh network: method and source policy."""

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``config.yaml``."""
        fields = {**vars(self), "world": self.world.to_dict(), "hyperparameters": dict(self.hyperparameters)}
        if not self.overlap:  # folders from before there was such a thing hold the same runs
            del fields["overlap"]
        return fields


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished training."""

    folder: Path
    """Its run folder."""
    policy: Policy
    """What it learned."""
    curve: list[dict[str, Any]]
    """Its evaluations: ``step``, ``return_mean``, ``success_rate``, ``episodes``."""


def train(
    env: str | World,
    *,
    algo: str | None = None,
    randomizer: RandomizerSpec = "uniform",
    steps: int | None = None,
    seed: int = 0,
    n_envs: int | Literal["auto"] = "auto",
    out: str | Path | None = None,
    kwargs: Mapping[str, Any] | None = None,
    domain_file: str | Path | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    eval_every: int | None = None,
    eval_episodes: int = 20,
    checkpoint_every: int | None = None,
    workers: int = 0,
    address: str | None = None,
    overlap: bool = False,
    track: str | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Run:
    """Train a policy from scratch in a randomized world.

    Args:
        env: Gymnasium id, ``"module:Namespace/Env-v0"``, or a world.
        algo: ``"sac"``, ``"td3"``, ``"tqc"`` or ``"ppo"``; the one tuned for the env if ``None``, SAC if none is.
        randomizer: ``"uniform"``, ``"none"`` or a description, see
            :func:`~sim2real.domains.randomizers.make_randomizer`.
        steps: Env steps, at least 1; what the tuned configuration needs if ``None``, where that is known. PPO, which
            collects rollouts, does the whole rollouts that fit.
        seed: Not negative; same seed, same result.
        n_envs: Envs collected from in turn; ``"auto"`` takes the tuned number.
        out: The run folder; ``runs/ENV-ALGO-seedN`` if ``None``.
        kwargs: Keyword arguments of the env, JSON-plain.
        domain_file: YAML file with domain parameters for an env that has none of its own.
        hyperparameters: Overrides of the tuned ones, by name.
        eval_every: Steps between evaluations; a tenth of ``steps`` if ``None``.
        eval_episodes: Episodes of an evaluation.
        checkpoint_every: Steps between checkpoints; a fifth of ``steps``, and at least 1,000, if ``None``.
        workers: Processes that the envs step in; this one for 0. It changes the speed and nothing else, for the better
            only where steps are slow or envs many. In a script, the call must then stand under
            ``if __name__ == "__main__":``.
        address: Of a Ray cluster whose machines the workers are on: ``"HOST:PORT"``, or ``"auto"`` for one that this
            machine is part of; this machine if ``None``. It changes the speed and nothing else, as ``workers`` does.
            The machines need the same packages.
        overlap: Let SAC, TD3 or TQC learn while the envs step in their workers, at least one. It is then one rollout
            late, so that the result is another one. For studies, leave it off.
        track: ``"mlflow"`` or ``"wandb"``: where the run is logged beside its folder, see
            :mod:`sim2real.training.trackers`; the result is the same.
        resume: Go on with what ``out`` holds after an interruption; the curve is the one of an uninterrupted run.
        progress: Show a progress bar on standard error.

    Returns:
        The finished run: its folder, its policy and its curve.

    Raises:
        Sim2RealError: Something given is unknown or out of range, the folder holds another run, there is no such
            cluster, or a number in the training is not finite. A folder made by this call in which nothing is worth
            keeping is removed.
    """
    world = World.of(env, kwargs=kwargs, domain_file=domain_file)
    if world.domain_file is not None and world.domain_file.targets:
        check_targets(world)  # they travel with the bundle
    config = make_config(
        world,
        algo=algo,
        randomizer=randomizer,
        steps=steps,
        seed=seed,
        n_envs=n_envs,
        hyperparameters=hyperparameters,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        checkpoint_every=checkpoint_every,
        overlap=overlap,
    )
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise Sim2RealError(f"workers = {workers!r} must be a whole number that is not negative.")
    if address is not None and workers == 0:
        raise Sim2RealError(f"address = {address!r} is where workers are; say how many with workers, one at least.")
    begin = None if track is None else find_tracker(track)
    folder = Path(out) if out is not None else default_folder(world, f"{config.algo}-seed{seed}")
    with show_progress(progress) as bars:
        listener = bars.add(f"train {config.algo}", config.steps)
        return run_training(
            config, folder, workers=workers, address=address, resume=resume, listener=listener, track=begin
        )


def default_folder(world: World, suffix: str) -> Path:
    """Return where a run goes that is given no folder."""
    return Path("runs") / f"{world.env.rpartition(':')[2].replace('/', '-')}-{suffix}"


def make_config(
    world: World,
    *,
    algo: str | None = None,
    randomizer: RandomizerSpec,
    steps: int | None = None,
    seed: int,
    n_envs: int | Literal["auto"] = "auto",
    hyperparameters: Mapping[str, Any] | None = None,
    eval_every: int | None = None,
    eval_episodes: int = 20,
    checkpoint_every: int | None = None,
    overlap: bool = False,
) -> TrainingConfig:
    """Check everything that determines a training and fill in what is left open, see :func:`train`."""
    for name, number in {
        "steps": 1 if steps is None else steps,
        "eval_every": 1 if eval_every is None else eval_every,
        "eval_episodes": eval_episodes,
        "checkpoint_every": 1 if checkpoint_every is None else checkpoint_every,
        "n_envs": 1 if n_envs == "auto" else n_envs,
    }.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise Sim2RealError(f"{name} = {number!r} must be a whole number of at least 1.")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise Sim2RealError(f"seed = {seed!r} must be a whole number that is not negative.")
    algo = default_algorithm(world) if algo is None else algo
    values = resolve_hyperparameters(algo, world, hyperparameters)
    if overlap and algo == "ppo":
        raise Sim2RealError("overlap is for sac, td3 and tqc: ppo learns from what its present policy has collected.")
    with closing(world.make()) as env:
        check_spaces(algo, env, values)
        space = domain_space(env)
    check_plain(randomizer, "randomizer")
    domains = adaptive_randomizer(world, space, randomizer)
    if domains is not None:
        check_outcomes(world, domains)
    if steps is None:
        steps = tuned_steps(algo, world)
        if steps is None:
            raise Sim2RealError(f"how many steps {algo} needs in {world.env!r} is not known; give steps.")
    envs = values["n_envs"] if n_envs == "auto" else n_envs
    if "n_steps" in values and algo == "ppo":
        rollout = values["n_steps"] * envs
        if steps < rollout:
            raise Sim2RealError(
                f"steps = {steps} is less than one PPO rollout of n_steps x n_envs = {values['n_steps']} x {envs} = "
                f"{rollout}; raise steps or lower n_steps."
            )
        steps -= steps % rollout
    return TrainingConfig(
        world=world,
        algo=algo,
        hyperparameters=values,
        randomizer=randomizer,
        steps=steps,
        seed=seed,
        n_envs=envs,
        eval_every=eval_every if eval_every is not None else max(1, steps // 10),
        eval_episodes=eval_episodes,
        checkpoint_every=checkpoint_every if checkpoint_every is not None else max(1000, steps // 5),
        overlap=overlap,
    )


def run_training(
    config: TrainingConfig,
    folder: Path,
    *,
    workers: int = 0,
    address: str | None = None,
    resume: bool = False,
    prepare: Prepare | None = None,
    listener: Progress | None = None,
    track: Begin | None = None,
) -> Run:
    """Run one training to its end in a folder of its own, on one torch thread.

    Args:
        config: What to do.
        folder: The run folder.
        workers: Processes that the envs step in; this one for 0.
        address: Of the Ray cluster that these are in; this machine if ``None``.
        resume: Go on with what the folder holds, if it is the same training.
        prepare: Puts the fresh learner into its initial state; a fresh network if ``None``.
        listener: Told the number of steps done.
        track: Begins a run in an experiment tracker, under the folder's name.

    Raises:
        Sim2RealError: The folder holds another run, there is no such cluster, a number is not finite, or the tracker
            refuses.
    """
    files = RunFolder(folder)
    with files.claim(config.to_dict(), resume=resume):
        if files.finished:
            if listener is not None:
                listener(config.steps)
            policy = load_policy(files.policy)
        else:
            with nullcontext() if track is None else track(folder.resolve().name, config.to_dict()) as tracker:
                with one_thread():
                    policy = _learn(config, files, prepare, listener, tracker, workers=workers, address=address)
                policy.save(files.policy)
                if tracker is not None:
                    tracker.keep(files.policy)
    return Run(folder=folder, policy=policy, curve=files.read_curve())


def _learn(
    config: TrainingConfig,
    files: RunFolder,
    prepare: Prepare | None,
    listener: Progress | None,
    tracker: KVWriter | None,
    *,
    workers: int,
    address: str | None,
) -> Policy:
    vec_env = make_training_env(
        config.world, config.randomizer, config.hyperparameters, config.n_envs, workers=workers, address=address
    )
    with closing(config.world.make()) as env:
        randomizer = adaptive_randomizer(config.world, domain_space(env), config.randomizer)
    evaluator = Evaluator(
        config.world,
        seed=derive_seed(config.seed, "evaluations of a training"),
        episodes=config.eval_episodes,
        randomizer=evaluated(config.randomizer, randomizer),
    )
    with closing(vec_env), evaluator, ExitStack() as open_companions:
        learner = make_learner(
            config.algo,
            vec_env,
            config.hyperparameters,
            seed=derive_seed(config.seed, "initial weights"),
            steps=config.steps,
        )
        if config.overlap:
            envs = vec_env.unwrapped
            if not isinstance(envs, RemoteVecEnv):
                raise Sim2RealError("overlap needs envs in processes of their own; give it workers, one at least.")
            assert isinstance(learner, OverlapMixin)
            learner.overlap(envs)
        # A method's callbacks come first: a checkpoint then holds what they leave.
        callbacks: list[BaseCallback] = [
            *([Randomization(randomizer, lambda: settle(learner))] if randomizer is not None else ()),
            *(prepare(learner) if prepare is not None else ()),
        ]
        companions = [callback for callback in callbacks if isinstance(callback, Companion)]
        for companion in companions:
            open_companions.callback(companion.close)
        chooser = next((callback for callback in callbacks if isinstance(callback, Chooser)), None)

        def current() -> Policy:
            return Policy.from_sb3(learner) if chooser is None else chooser.policy()

        callbacks += [
            Milestones(
                files,
                evaluator,
                lambda: current().predict,
                seed=config.seed,
                eval_every=config.eval_every,
                checkpoint_every=config.checkpoint_every,
                companions=companions,
                chooser=chooser,
                randomizer=randomizer,
            ),
            RewardTerms(),
        ]
        if listener is not None:
            callbacks.append(ReportProgress(listener))
        checkpoints = list_checkpoints(files.checkpoints)
        if checkpoints:
            load_checkpoint(learner, checkpoints[-1], companions)
        done = learner.num_timesteps
        files.cut_curve(done if done else -1)
        with _logger(files.tensorboard, done, tracker) as logger:
            learner.set_logger(logger)
            # The first segment resets the envs; a reset by learn() itself would shift the normalizer.
            learner._last_obs = vec_env.observation_space.sample()
            try:
                learner.learn(config.steps - done, callback=CallbackList(callbacks), reset_num_timesteps=False)
            except ValueError as error:  # torch refuses a distribution of such numbers before an env sees them
                if all(bool(p.isfinite().all()) for p in learner.policy.parameters()):
                    raise
                raise Sim2RealError(
                    f"the networks diverged to values that are not finite by step {learner.num_timesteps}; lower "
                    f"learning_rate = {config.hyperparameters['learning_rate']:g}."
                ) from error
        info = _describe(config, evaluator, randomizer)
        return current().described(info if chooser is None else chooser.describe(info))


def _describe(config: TrainingConfig, evaluator: Evaluator, randomizer: Adaptive | None) -> BundleInfo:
    env = evaluator.env
    return BundleInfo(
        hyperparameters=dict(config.hyperparameters),
        observation_channels=observation_channels(env),
        action_channels=action_channels(env),
        privileged_channels=privileged_channels(env) if config.hyperparameters.get("asymmetric_critic") else None,
        world=config.world.to_dict(),
        domains={
            "randomizer": config.randomizer if isinstance(config.randomizer, str) else dict(config.randomizer),
            "space": domain_space(env).to_dict(),
            **({"state": randomizer.state()} if randomizer is not None else {}),
        },
        provenance={
            **provenance(seed=config.seed, steps=config.steps, command=command_line()),
            **({"origin": dict(config.origin)} if config.origin else {}),
        },
    )


def command_line() -> str:
    """Return the command that this process runs, as it was typed after the program's name."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


@contextmanager
def _logger(folder: Path, step: int, tracker: KVWriter | None) -> Iterator[Logger]:
    output = TensorBoardOutputFormat(str(folder))
    output.writer.close()
    # What an interrupted run had logged after its last checkpoint is superseded.
    output.writer = SummaryWriter(str(folder), purge_step=step)
    logger = Logger(str(folder), [output] if tracker is None else [output, tracker])
    try:
        yield logger
    finally:
        logger.close()


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: small networks gain nothing from more, and two processes then share two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
