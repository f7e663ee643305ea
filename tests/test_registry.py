"""Every world that is registered keeps the contract: a new one is tested by being registered."""

import pickle
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest

import sim2real_envs  # noqa: F401 - registers the worlds
from sim2real.domains.check_env import check_env
from sim2real.domains.contract import change_domain, domain_space, get_domain, live_parameters
from sim2real.domains.targets import find_target, list_targets
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real_envs.engines import ENGINES

QUICK = ("sim2real/Labyrinth-v0", "sim2real/PandaReach-v0")
IDS = sorted(env_id for env_id in gym.registry if env_id.startswith("sim2real/"))
MOST_SLOW = [env_id if env_id in QUICK else pytest.param(env_id, marks=pytest.mark.slow) for env_id in IDS]


def rollout(env, steps=30):
    """Return everything an agent sees in a few episodes of random actions."""
    env.action_space.seed(1)
    seen = [env.reset(seed=3)[0]]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        seen += [observation, reward, terminated, truncated]
        if terminated or truncated:
            seen.append(env.reset()[0])
    return [np.concatenate([np.ravel(v) for v in part.values()]) if isinstance(part, dict) else part for part in seen]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def flat(observation):
    parts = observation.values() if isinstance(observation, dict) else [observation]
    return np.concatenate([np.ravel(part).astype(float) for part in parts])


def test_there_are_worlds():
    assert "sim2real/PandaReach-v0" in IDS


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("env_id", MOST_SLOW)
def test_every_check_of_check_env_is_ok(env_id, engine):
    report = check_env(World.of(env_id, kwargs={"engine": engine}))
    assert [f"{check.name}: {check.detail}" for check in report.checks if check.status != "ok"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("sim2real/PandaReach-v0", {"control": "joint"}),
        ("sim2real/PandaPush-v0", {"observation": "goal"}),
        ("sim2real/XArm6PickAndPlace-v0", {"observation": "goal", "control": "joint", "engine": "mujoco"}),
        ("sim2real/Drive-v0", {"observation": "camera"}),
        ("sim2real/Labyrinth-v0", {"layout": "hard-1"}),
        ("sim2real/Labyrinth-v0", {"observation": "camera", "layout": "classic"}),
    ],
)
def test_every_check_of_check_env_is_ok_in_variants(env_id, kwargs):
    report = check_env(World.of(env_id, kwargs=kwargs))
    assert [f"{check.name}: {check.detail}" for check in report.checks if check.status not in ("ok", "skipped")] == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("env_id", IDS)
def test_a_closed_env_says_so(env_id, engine):
    env = gym.make(env_id, engine=engine)
    env.reset(seed=0)
    action = env.action_space.sample()
    env.close()
    for use in (env.reset, lambda: env.step(action)):
        with pytest.raises(Sim2RealError, match=r"^the env is closed; make a new one\.$"):
            use()
    env.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("env_id", IDS)
def test_two_envs_and_a_rebuilt_one_see_the_same(env_id, engine):
    with closing(gym.make(env_id, engine=engine)) as env:
        expected = rollout(env)
        spec = pickle.loads(pickle.dumps(env.spec))
        rebuilt = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    for made in (gym.make(env_id, engine=engine), gym.make(spec), gym.make(rebuilt)):
        with closing(made):
            assert_same(rollout(made), expected)


@pytest.mark.parametrize("env_id", IDS)
def test_the_targets_of_the_ladder_exist_and_differ(env_id):
    world = World.of(env_id)
    targets = list_targets(world)
    assert {"nominal", "mild", "out-of-range"} <= targets.keys()
    domains = {name: find_target(world, name) for name in targets}
    assert len({(str(w.kwargs), tuple(w.domain.items())) for w in domains.values()}) == len(domains)
    with closing(world.make()) as env:
        space = domain_space(env)
    outside = [
        name
        for name, value in domains["out-of-range"].domain.items()
        if not space[name].train_range[0] <= value <= space[name].train_range[1]
    ]
    assert outside, "out-of-range lies inside the training range"
    for name, value in domains["mild"].domain.items():
        low, high = space[name].train_range
        assert low <= value <= high, f"mild leaves the training range in {name}"


def excess(env):
    """Return how fast what moves is, over what it can be without an explosion; not clipped, as what is observed is."""
    if hasattr(env, "robot"):
        tip = np.linalg.norm(env.robot.state.velocity) / 6.0
        # One that slips away under the hand may be fast.
        return tip if env.task.cube is None else max(tip, np.linalg.norm(env.task.cube.velocity) / 10.0)
    if hasattr(env, "vehicle"):
        state = env.vehicle.state
        return max(np.hypot(state.forward, state.left) / 7.0, abs(state.yaw_rate) / 30.0)
    return max(np.hypot(*env.board.velocity) / 1.5, env.board.height / 0.03)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("env_id", MOST_SLOW)
def test_a_thousand_domains_inside_the_bounds_neither_explode_nor_crash(env_id, engine):
    rng = np.random.default_rng(0)
    with closing(gym.make(env_id, engine=engine)) as made:
        env = made.unwrapped
        low, high = np.array([(p.low, p.high) for p in env.domain_space.values()]).T
        for number in range(1000):
            # Every other one in a corner of the space.
            drawn = np.where(rng.random(len(low)) < 0.5, low, high) if number % 2 else rng.uniform(low, high)
            domain = dict(zip(env.domain_space, drawn.tolist(), strict=True))
            env.reset(seed=number, options={"domain": domain})
            action = rng.choice([-1.0, 1.0], env.action_space.shape).astype(np.float32)
            for _ in range(3):
                observation, reward, terminated, *_ = env.step(action)
                assert np.isfinite(observation).all(), domain
                assert abs(reward) < 100.0, domain
                assert excess(env) < 1.0, domain
                if terminated:
                    break


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("env_id", IDS)
def test_parameters_change_during_an_episode_and_in_that_alone(env_id, engine):
    with closing(gym.make(env_id, engine=engine)) as env:
        space = domain_space(env)
        live = live_parameters(env)
        assert len(live) >= len(space) - 3
        changes = {name: (space[name].nominal + space[name].high) / 2 for name in live}
        env.reset(seed=0)
        env.action_space.seed(0)
        env.step(env.action_space.sample())
        change_domain(env, changes)
        expected = {**space.nominal(), **changes}
        assert get_domain(env) == pytest.approx(expected, abs=1e-6)
        for _ in range(5):
            observation, _, terminated, truncated, info = env.step(env.action_space.sample())
            assert info["domain"] == pytest.approx(expected)
            assert np.isfinite(flat(observation)).all()
            if terminated or truncated:
                break
        assert env.reset()[1]["domain"] == space.nominal()
        assert get_domain(env) == pytest.approx(space.nominal(), abs=1e-6)


@pytest.mark.parametrize(
    ("env_id", "changes"),
    [
        ("sim2real/PandaReach-v0", {"payload": 3.0}),
        ("sim2real/Drive-v0", {"steering_bias": 0.15}),
        ("sim2real/Labyrinth-v0", {"servo_bias_x": 0.05}),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_change_during_an_episode_is_felt_from_then_on(env_id, engine, changes):
    def seen(change):
        with closing(gym.make(env_id, engine=engine)) as env:
            env.reset(seed=0)
            found = []
            for step in range(20):
                if change and step == 10:
                    change_domain(env, changes)
                found.append(flat(env.step(np.full(env.action_space.shape, 0.3, np.float32))[0]))
        return np.array(found)

    plain, changed = seen(change=False), seen(change=True)
    np.testing.assert_array_equal(plain[:10], changed[:10])
    assert np.abs(plain[10:] - changed[10:]).max() > 1e-3


def test_what_cannot_change_during_an_episode_is_refused():
    with closing(gym.make("sim2real/PandaPush-v0")) as env:
        env.reset(seed=0)
        with pytest.raises(Sim2RealError, match="unknown parameter that can change during an episode: 'object_size'"):
            change_domain(env, {"object_size": 0.05})
        with pytest.raises(Sim2RealError, match="payload = 4 kg is outside its bounds"):
            change_domain(env, {"payload": 4.0})


def test_a_world_does_not_feel_the_others_of_its_process():
    alone = {}
    for env_id in IDS:
        with closing(gym.make(env_id)) as env:
            alone[env_id] = rollout(env)
    together = {env_id: gym.make(env_id) for env_id in IDS}
    for env_id, env in [*together.items(), *reversed(together.items())]:
        assert_same(rollout(env), alone[env_id])
    for env in together.values():
        env.close()
