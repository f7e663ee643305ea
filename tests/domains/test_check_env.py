import io
import json

import gymnasium as gym
import pytest
from rich.console import Console

from sim2real.domains import check_env as module
from sim2real.domains import env_checks
from sim2real.domains.check_env import NO_PARAMETERS, EnvReport, check_env, render
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError

OTHER_PROCESS = "same seed, other process"
DOMAIN_CHECKS = {
    "set and read back",
    "takes effect at reset",
    "domain of one episode",
    "domain in info",
    "refuses bad values",
    "effect",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(env_checks, "_SPEED_SECONDS", 0.02)


@pytest.fixture
def without_worker(monkeypatch):
    monkeypatch.delitem(module._ENV_CHECKS, OTHER_PROCESS)  # half a second each


def found(report: EnvReport, status: str) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if check.status == status}


def page(report: EnvReport) -> str:
    console = Console(width=120, file=io.StringIO())
    with console.capture() as capture:
        console.print(render(report))
    return capture.get()


@pytest.mark.parametrize("name", ["Sound", "GoalDict"])
def test_an_env_that_keeps_the_contract_has_no_error_and_no_warning(name):
    report = check_env(f"tiny_envs:{name}-v0")
    assert report.ok
    assert {check.status for check in report.checks if check.name != "targets"} == {"ok"}
    assert report.steps_per_second > 0
    assert {row.name: (row.read_back[0], row.effect) for row in report.parameters} == {
        "gain": ("ok", ("ok", "low 1, high 1; 64 %")),
        "drag": ("ok", ("ok", "low 2, high 2; 37 %")),
    }


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("CartPole-v1", {"Gymnasium's checker"}),
        ("Pendulum-v1", {"Gymnasium's checker", "Stable-Baselines3's checker"}),
    ],
)
def test_gymnasiums_own_envs_are_ok_and_told_how_to_get_parameters(name, warned):
    report = check_env(name)
    assert report.ok
    assert set(found(report, "warning")) == warned
    skipped = found(report, "skipped")
    assert set(skipped) == DOMAIN_CHECKS | {"channels", "targets"}
    assert {skipped[check] for check in DOMAIN_CHECKS} == {NO_PARAMETERS}
    assert report.parameters == ()


@pytest.mark.parametrize(
    ("name", "check", "detail"),
    [
        (
            "NoEffect",
            "effect",
            "no effect on any of 6 trajectories: drag; connect it to the simulator, drop it, or check more than 100 "
            "steps if it acts late",
        ),
        (
            "RemembersDict",
            "takes effect at reset",
            "get_domain tells what was set before a reset made it so: read the simulator instead",
        ),
        (
            "AppliesAtOnce",
            "takes effect at reset",
            "get_domain tells what was set before a reset made it so: read the simulator instead; set_domain in the "
            "middle of an episode changes that episode",
        ),
        (
            "OptionsStay",
            "domain of one episode",
            "in the episode after one with options: gain reads 2, not 0.5; "
            "in the episode after one with options: drag reads 1, not 0",
        ),
        ("AcceptsAnything", "refuses bad values", "set_domain accepts the unknown name 'no_such_parameter'; "),
        ("HalfRefuses", "refuses bad values", "a refused domain leaves something behind: gain reads 1.9, not 1.1"),
        ("NoInfo", "domain in info", "after set_domain, info['domain'] of reset: it is missing; "),
        ("ClosesOnce", "close twice", "the second close() before a reset raises RuntimeError: physics client is gone"),
        (
            "WrongChannels",
            "channels",
            "observation_channels are 1 wide, the space is Box(-10.0, 10.0, (2,), float32)",
        ),
        (
            "TellsNothing",
            "channels",
            "privileged_channels are named and there is no privileged_observation()",
        ),
        (
            "TellsTooMuch",
            "channels",
            "privileged_observation() must be an array of float32, shape (1,), got array([0., 0., 0.], dtype=float32)",
        ),
        (
            "TellsTwoTales",
            "channels",
            "privileged_observation() must be finite, and the same when asked twice, got [1.] and [2.]",
        ),
        (
            "SharesInfo",
            "Gymnasium's checker",
            "The infos returned by `env.reset() (call 1)` and `env.step() (call 2)` share an object",
        ),
        (
            "WrongType",
            "Gymnasium's checker",
            "The first element returned by `env.reset()` is not within the observation space",
        ),
        (
            "KeepsOthers",
            "set and read back",
            "set_domain({'drag': 0}) and reset: gain reads 2, not 1",
        ),
    ],
)
@pytest.mark.usefixtures("without_worker")
def test_a_broken_clause_fails_its_own_check(name, check, detail):
    report = check_env(f"tiny_envs:{name}-v0")
    errors = found(report, "error")
    assert not report.ok
    assert check in errors
    assert errors[check].startswith(detail)
    # What else may fail follows from the same mistake.
    assert set(errors) - {check} <= {
        "SharesInfo": {"domain in info"},
        "WrongType": {"Stable-Baselines3's checker"},
        "KeepsOthers": {"domain of one episode", "same seed, after other episodes"},
    }.get(name, set())


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("ClipsSilently", {"set and read back", "domain of one episode"}),
        ("OptionsIgnored", {"domain of one episode", "domain in info", "refuses bad values"}),
    ],
)
@pytest.mark.usefixtures("without_worker")
def test_a_mistake_that_breaks_several_clauses_fails_each(name, checks):
    assert set(found(check_env(f"tiny_envs:{name}-v0"), "error")) == checks


def test_global_random_numbers_fail_same_seed_and_skip_what_needs_it():
    report = check_env("tiny_envs:GlobalRandom-v0")
    errors = found(report, "error")
    assert set(errors) == {"same seed"}
    assert errors["same seed"].startswith("two fresh envs with one seed: step 6 differs in the nominal domain; draw")
    assert set(found(report, "skipped")) == {OTHER_PROCESS, "same seed, after other episodes", "effect", "targets"}


@pytest.mark.usefixtures("without_worker")
def test_state_that_survives_a_reset_fails_after_other_episodes():
    errors = found(check_env("tiny_envs:Leaks-v0"), "error")
    assert set(errors) == {"same seed, after other episodes"}
    assert errors["same seed, after other episodes"].endswith("differs in the nominal domain; clear all state in reset")


def test_what_depends_on_the_process_fails_in_the_worker():
    errors = found(check_env("tiny_envs:ProcessBound-v0"), "error")
    assert errors == {OTHER_PROCESS: "in a spawned worker: step 1 differs in the nominal domain"}


def test_an_env_that_only_this_process_has_registered_fails_in_the_worker():
    gym.register("LocalOnly-v0", entry_point="tiny_envs:Sound")
    try:
        errors = found(check_env("LocalOnly-v0"), "error")
    finally:
        del gym.registry["LocalOnly-v0"]
    assert set(errors) == {OTHER_PROCESS}
    assert errors[OTHER_PROCESS].startswith("unknown env 'LocalOnly-v0'.")


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("LateEffect", "low 151, high 151; 71 %; 500 steps"),
        ("PushedOnly", "low 2, high 2; 75 %; constant highest actions"),
        ("Coupled", "low 2, high 2; 14 %; the others off nominal"),
        ("Inert", "low 2, high 2; 0.12 %"),
        ("RewardOnly", "low 1, high 1; observation unmoved"),
        ("Constant", "low 0, high 0; 4.5 absolute"),
    ],
)
@pytest.mark.usefixtures("without_worker")
def test_an_effect_is_searched_for_before_it_is_given_up(name, effect):
    report = check_env(f"tiny_envs:{name}-v0")
    assert report.ok, found(report, "error")
    assert report.parameters[1].effect == ("ok", effect)


@pytest.mark.usefixtures("without_worker")
def test_an_env_that_raises_is_an_error_and_the_other_checks_go_on():
    report = check_env("tiny_envs:StepRaises-v0")
    errors = found(report, "error")
    assert errors["same seed"] == "RuntimeError: no physics today"
    assert {"set and read back", "refuses bad values", "pickle", "close twice"} <= set(found(report, "ok"))
    assert report.steps_per_second is None


@pytest.mark.usefixtures("without_worker")
def test_a_reward_that_is_no_number_is_told_with_its_step():
    errors = found(check_env("tiny_envs:NoNumber-v0"), "error")
    assert errors["same seed"].startswith("reward is nan at step 3 of episode 1 of NoNumber-v0 (domain: gain=1, drag=0")


@pytest.mark.usefixtures("without_worker")
def test_arguments_that_are_not_json_plain_fail_pickle():
    report = check_env(World(env="tiny_envs:Plain-v0", kwargs={"scale": (1.0, 2.0)}))
    assert found(report, "error") == {
        "pickle": "the world comes back from JSON as another one: kwargs = {'scale': (1.0, 2.0)}"
    }


@pytest.mark.usefixtures("without_worker")
def test_a_domain_file_gives_a_foreign_env_parameters_that_are_checked(tmp_path):
    file = tmp_path / "cart.yaml"
    file.write_text(
        "length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0, unit: m}\n"
        "tau: {path: unwrapped.theta_threshold_radians, nominal: 1.0, low: 0.9, high: 1.1, operator: '*'}\n"
        "decoy: {path: unwrapped.kinematics_decoy, nominal: 1.0, low: 0.5, high: 2.0}\n"
    )
    gym.register("DecoyCartPole-v0", entry_point=_decoy)
    try:
        report = check_env(World.of("DecoyCartPole-v0", domain_file=file))
    finally:
        del gym.registry["DecoyCartPole-v0"]
    assert set(found(report, "error")) == {"effect"}
    assert {row.name: row.effect[0] for row in report.parameters} == {"length": "ok", "tau": "ok", "decoy": "error"}


def _decoy():
    env = gym.make("CartPole-v1").unwrapped
    env.kinematics_decoy = 1.0
    return env


def test_the_same_seed_gives_the_same_report(without_worker):
    first, second = (check_env("tiny_envs:Sound-v0", seed=3, steps=20).to_dict() for _ in range(2))
    for report in (first, second):
        report.pop("steps_per_second")
        report["checks"] = report["checks"][:-1]  # speed
    assert first == second


def test_the_report_is_json_plain(without_worker):
    report = check_env("tiny_envs:Sound-v0", steps=20)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain == report.to_dict()
    assert plain["ok"] is True
    assert plain["env"] == "tiny_envs:Sound-v0"
    assert plain["parameters"]["drag"] == {
        "nominal": 0.1,
        "low": 0.0,
        "high": 1.0,
        "unit": "1/s",
        "operator": "=",
        "train": None,
        "read_back": "ok",
        "effect": "ok",
    }
    assert plain["observation_channels"] == [
        {"name": "position", "width": 1, "unit": "m"},
        {"name": "velocity", "width": 1, "unit": "m/s"},
    ]


def test_the_page_names_checks_parameters_channels_and_the_verdict(without_worker):
    text = page(check_env("tiny_envs:NoEffect-v0", steps=20))
    for part in ("tiny_envs:NoEffect-v0", "position[1] m, velocity[1] m/s", "push[1] N", "[0.5, 2]", "*U(0.8, 1.2)"):
        assert part in text
    assert text.rstrip().endswith("The env does not keep the contract: 1 error.")
    assert len(text.splitlines()) < 45


def test_the_page_of_an_env_without_parameters_says_once_how_to_name_some(without_worker):
    text = page(check_env("CartPole-v1", steps=20))
    assert text.count("o domain parameters") == 1
    assert text.rstrip().endswith("The env keeps the contract.")


@pytest.mark.parametrize(
    ("env", "kwargs", "message"),
    [
        ("Sound-v0", {"steps": 0}, "steps = 0 must be at least 1."),
        ("Sound-v0", {"seed": -1}, "seed = -1 must not be negative."),
        ("tiny_envs:MakesNoSense-v0", {}, "env 'tiny_envs:MakesNoSense-v0' cannot be made: RuntimeError: no licence"),
        (
            "CartPoll-v1",
            {},
            "unknown env 'CartPoll-v1'. Did you mean 'CartPole-v1'? 'sim2real envs' lists the worlds; an env of your "
            "own is 'module:Name-v0'.",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused_in_one_line(env, kwargs, message):
    with pytest.raises(Sim2RealError) as error:
        check_env(env, **kwargs)
    assert str(error.value) == message


@pytest.mark.usefixtures("without_worker")
def test_an_env_whose_episodes_never_end_is_refused():
    report = check_env("tiny_envs:NeverEnds-v0")
    assert found(report, "error") == {
        "episodes end": "none ended within 10,000 random steps; register it with max_episode_steps=..."
    }


@pytest.mark.usefixtures("without_worker")
def test_a_limit_of_the_steps_ends_every_episode():
    gym.register("Limited-v0", entry_point="tiny_envs:NeverEnds", max_episode_steps=30)
    try:
        checks = found(check_env("Limited-v0", steps=20), "ok")
    finally:
        del gym.registry["Limited-v0"]
    assert checks["episodes end"] == "after 30 steps at the latest"


@pytest.mark.usefixtures("without_worker")
def test_targets_that_do_not_fit_are_found(tmp_path):
    file = tmp_path / "cart.yaml"
    text = "length: {path: unwrapped.length, nominal: 0.5, low: 0.25, high: 1.0, unit: m}\n"
    file.write_text(text + "targets: {long: {domain: {length: 0.9}}, longer: {domain: {length: 1.0}}}\n")
    assert found(check_env(World.of("CartPole-v1", domain_file=file)), "ok")["targets"] == "long, longer"
    file.write_text(text + "targets: {longer: {domain: {length: 2.0}}}\n")
    assert found(check_env(World.of("CartPole-v1", domain_file=file)), "error") == {
        "targets": "target 'longer': domain parameter length = 2 m is outside its bounds [0.25, 1] m; choose a value "
        "inside them."
    }
