import pickle
import re

import numpy as np
import pytest
import torch
from deployment_models import ARM, BOX, CASES, CHANNELS, DICT, INFO, PICTURE, draw, make_model, pick, sb3_predict
from gymnasium import spaces
from stable_baselines3.common.torch_layers import FlattenExtractor

from sim2real.deployment.policy import BundleInfo, Policy
from sim2real.domains.channels import Channel
from sim2real.errors import Sim2RealError

ROUTE = (
    " A policy is carried into other spaces by sim2real transfer --method graft (or another that can, see "
    "docs/transfer.md); sim2real map shows which number becomes which."
)


def test_acts_bitwise_like_sb3(case):
    model = make_model(case)
    policy = Policy.from_sb3(model)
    batch = draw(model.observation_space, 40)
    actions = policy.predict(batch)
    expected = sb3_predict(model, batch)
    assert actions.dtype == expected.dtype
    np.testing.assert_array_equal(actions, expected, strict=True)
    for index in range(20):
        one = pick(batch, index)
        np.testing.assert_array_equal(policy.predict(one), sb3_predict(model, one), strict=True)


@pytest.mark.parametrize("case", ["sac-picture", "td3-picture", "tqc-picture", "ppo-picture", "tqc-pictures"])
def test_pictures_as_the_env_gives_them_or_channels_first(case):
    model = make_model(case)
    policy = Policy.from_sb3(model)
    own = CASES[case][1]
    assert policy.observation_space == own
    batch = draw(own, 20)
    first = {key: turned(part) for key, part in batch.items()} if isinstance(batch, dict) else turned(batch)
    expected = sb3_predict(model, batch)
    np.testing.assert_array_equal(policy.predict(batch), expected, strict=True)
    np.testing.assert_allclose(policy.predict(first), expected, atol=1e-6)  # convolutions add in another order
    for index in range(5):
        one = pick(batch, index)
        np.testing.assert_array_equal(policy.predict(one), sb3_predict(model, one), strict=True)
        np.testing.assert_allclose(policy.predict(pick(first, index)), expected[index], atol=1e-6)


def turned(batch):
    return batch.transpose(0, 3, 1, 2) if batch.ndim == 4 else batch


@pytest.mark.parametrize("case", [name for name in CASES if "sde" not in name])  # gSDE keeps its noise for a rollout
def test_draws_the_same_actions_as_sb3(case):
    model = make_model(case)
    policy = Policy.from_sb3(model)
    batch = draw(model.observation_space, 7)
    torch.manual_seed(1)
    expected = sb3_predict(model, batch, deterministic=False)
    torch.manual_seed(1)
    np.testing.assert_array_equal(policy.predict(batch, deterministic=False), expected)


def test_learning_on_does_not_change_a_policy_taken_out_before():
    model = make_model("sac-box")
    policy = Policy.from_sb3(model)
    batch = draw(BOX, 5)
    before = policy.predict(batch)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(1.0)
    model.get_vec_normalize_env().obs_rms.mean += 1.0
    np.testing.assert_array_equal(policy.predict(batch), before)


def test_neither_building_nor_acting_draws_from_global_streams():
    model = make_model("sac-sde")
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    Policy.from_sb3(model).predict(draw(BOX, 3))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


def test_travels_through_pickle(case):
    policy = Policy.from_sb3(make_model(case), info=INFO)
    batch = draw(policy.observation_space, 5)
    twin = pickle.loads(pickle.dumps(policy))
    np.testing.assert_array_equal(twin.predict(batch), policy.predict(batch))
    assert twin.metadata == policy.metadata


def test_copy_into_gives_a_fresh_model_all_weights_and_optimizers_without_memory(case):
    source = make_model(case, seed=0)
    policy = Policy.from_sb3(source)
    target = make_model(case, seed=1)
    optimizers = [
        optimizer
        for holder in (target, target.policy, getattr(target, "actor", None), getattr(target, "critic", None))
        for name in ("optimizer", "ent_coef_optimizer")
        if (optimizer := getattr(holder, name, None)) is not None
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        assert optimizer.state
    policy.copy_into(target)
    for name, tensor in source.policy.state_dict().items():
        assert torch.equal(target.policy.state_dict()[name], tensor), name
    if getattr(source, "log_ent_coef", None) is not None:
        assert torch.equal(target.log_ent_coef, source.log_ent_coef)
        assert target.log_ent_coef.requires_grad
    assert not any(optimizer.state for optimizer in optimizers)


def test_a_copied_model_learns_on():
    policy = Policy.from_sb3(make_model("sac-box"))
    model = make_model("sac-box", seed=1)
    model.learning_starts = 5
    policy.copy_into(model)
    model.learn(20)
    assert not torch.equal(model.actor.mu.weight, policy.module.actor.mu.weight)
    assert policy.log_ent_coef != model.log_ent_coef.item()


def test_copy_into_refuses_other_networks():
    policy = Policy.from_sb3(make_model("td3-box"))
    with pytest.raises(Sim2RealError, match=r"^cannot copy a td3 MlpPolicy into a sac MlpPolicy; build the model with"):
        policy.copy_into(make_model("sac-box"))
    model = make_model("ppo-box")
    small = Policy.from_sb3(make_model("ppo-box"))
    model = type(model)("MlpPolicy", model.env, policy_kwargs={"net_arch": [8]}, device="cpu")
    with pytest.raises(
        Sim2RealError, match=r"^the model's networks differ: net_arch is \[8\], the policy's \[16, 16\]; "
    ):
        small.copy_into(model)
    with pytest.raises(Sim2RealError) as raised:
        Policy.from_sb3(make_model("sac-sde")).copy_into(make_model("sac-box"))
    assert str(raised.value) == (
        "the model's networks differ: use_sde is False, the policy's True; build the model with use_sde=True and "
        "policy_kwargs=policy.network.policy_kwargs."
    )
    model = make_model("td3-box")
    plain = type(model)("MlpPolicy", model.env, policy_kwargs={"net_arch": [16]}, buffer_size=10, device="cpu")
    with pytest.raises(Sim2RealError) as raised:
        policy.copy_into(plain)
    assert str(raised.value) == (
        "the model's networks differ: net_arch is [16], the policy's {'pi': [16], 'qf': [24, 8]}; "
        "n_critics is the default, the policy's 3; build the model with policy_kwargs=policy.network.policy_kwargs."
    )


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (np.zeros(4), "observation has shape (4,), the policy reads (5,) or a batch (n, ...) of it."),
        (
            np.array([0, 0, 0, 0, np.nan]),
            "observation: goal[1] (channel 4) is nan; the policy needs finite numbers.",
        ),
        (
            np.array([[0] * 5, [0, np.inf, 0, 0, 0]]),
            "observation: joint_position[1] (channel 1) is inf; the policy needs finite numbers.",
        ),
        (
            (np.zeros(5), {}),
            "observation is a pair; env.reset() returns (observation, info), predict takes the first alone.",
        ),
        ("five", "observation must hold numbers in shape (5,) or (batch, ...), got str."),
        ([[1], [1, 2]], "observation must hold numbers in shape (5,) or (batch, ...), got list."),
    ],
)
def test_refuses_a_wrong_observation(observation, message):
    policy = Policy.from_sb3(make_model("sac-box"), info=INFO)
    with pytest.raises(Sim2RealError) as caught:
        policy.predict(observation)
    assert str(caught.value) == message


def test_refuses_a_wrong_dict_or_discrete_observation():
    goal = Policy.from_sb3(make_model("sac-dict"))
    with pytest.raises(
        Sim2RealError, match=re.escape("expected a dict with keys ['desired_goal', 'observation'], got [")
    ):
        goal.predict({"observation": np.zeros(4)})
    with pytest.raises(Sim2RealError, match="all single or all batches of one size"):
        goal.predict({"observation": np.zeros((2, 4)), "desired_goal": np.zeros(3)})
    table = Policy.from_sb3(make_model("ppo-multi-discrete"))
    with pytest.raises(Sim2RealError, match="observation = 6 must lie in 0 to 5"):
        table.predict(6)


def channel(name, width, unit="rad", high=1.0):
    return Channel(name=name, width=width, unit=unit, low=-1.0, high=high)


def test_names_each_channel_that_does_not_fit():
    policy = Policy.from_sb3(make_model("sac-box"), info=INFO)
    other = spaces.Box(-1, 1, (7,), np.float32)
    with pytest.raises(Sim2RealError) as caught:
        policy.check_fits(
            other,
            ARM,
            (channel("joint_position", 6), channel("payload", 1, "kg")),
            (channel("joint_torque", 2, "N m", high=2.0),),
        )
    assert str(caught.value) == (
        "the policy does not fit the env: observation channel joint_position[3] rad is joint_position[6] rad in the "
        "env; the env lacks observation channel goal[2] m; the env adds observation channel payload[1] kg; "
        "action channel joint_torque[2] N m is bounded by [-1, 1], in the env by [-1, 2]." + ROUTE
    )
    with pytest.raises(
        Sim2RealError, match="channels are in the order joint_position, goal, in the env goal, joint_posit"
    ):
        policy.check_fits(BOX, ARM, CHANNELS[::-1], INFO.action_channels)
    policy.check_fits(BOX, ARM, CHANNELS, INFO.action_channels)


def test_names_shapes_where_a_side_has_no_channels():
    policy = Policy.from_sb3(make_model("sac-box"))
    wrong = spaces.Box(-1, 1, (4,), np.float32)
    with pytest.raises(Sim2RealError) as caught:
        policy.check_fits(wrong, spaces.Box(-2, 2, (2,), np.float32), CHANNELS)
    assert str(caught.value) == (
        "the policy does not fit the env: observation shape is (5,) in the policy, (4,) in the env; action bounds are "
        "[-1.0, -2.0] to [1.0, 3.0] in the policy, [-2.0, -2.0] to [2.0, 2.0] in the env." + ROUTE
    )
    policy.check_fits(spaces.Box(-1, 1, (5,), np.float64), ARM)  # bounds of observations do not enter a policy
    with pytest.raises(Sim2RealError, match="observation space is Box"):
        policy.check_fits(DICT, ARM)
    goal = Policy.from_sb3(make_model("sac-dict"))
    with pytest.raises(
        Sim2RealError, match=r"the env lacks observation\['desired_goal'\]; the env adds observation\['x'\]"
    ):
        goal.check_fits(spaces.Dict({"observation": DICT["observation"], "x": BOX}), ARM)


def test_a_picture_fits_a_picture_of_its_size_and_nothing_else():
    policy = Policy.from_sb3(make_model("sac-picture"))
    policy.check_fits(PICTURE, ARM)
    policy.check_fits(spaces.Box(0, 255, (3, 36, 40), np.uint8), ARM)
    with pytest.raises(Sim2RealError) as caught:
        policy.check_fits(spaces.Box(0, 255, (40, 36, 3), np.uint8), ARM)
    assert str(caught.value) == (
        "the policy does not fit the env: observation shape is (36, 40, 3) in the policy, (40, 36, 3) in the env."
        + ROUTE
    )
    with pytest.raises(Sim2RealError) as caught:
        policy.check_fits(spaces.Box(0.0, 1.0, (36, 40, 3), np.float32), ARM)
    assert str(caught.value) == (
        "the policy does not fit the env: observation space is Box(0, 255, (36, 40, 3), uint8) in the policy, "
        "Box(0.0, 1.0, (36, 40, 3), float32) in the env." + ROUTE
    )
    with pytest.raises(Sim2RealError) as caught:
        policy.predict(np.zeros((40, 36, 3), np.uint8))
    assert str(caught.value) == (
        "observation has shape (40, 36, 3), the policy reads (36, 40, 3) or a batch (n, ...) of it."
    )


def test_refuses_weights_that_diverged():
    model = make_model("sac-box")
    with torch.no_grad():
        model.actor.mu.bias[0] = torch.nan
    with pytest.raises(
        Sim2RealError, match=r"^weight actor.mu.bias holds a value that is not finite; the training had"
    ):
        Policy.from_sb3(model)


def test_refuses_networks_that_a_bundle_cannot_name():
    model = make_model("sac-box", normalize=False)
    model = type(model)("MlpPolicy", model.env, buffer_size=1, policy_kwargs={"activation_fn": torch.nn.Hardswish})
    with pytest.raises(Sim2RealError, match="unknown activation function 'Hardswish'"):
        Policy.from_sb3(model)


def test_refuses_an_extractor_that_a_bundle_cannot_name():
    model = make_model("sac-picture")
    extractor = {"features_extractor_class": FlattenExtractor}
    model = type(model)("CnnPolicy", model.env, buffer_size=1, policy_kwargs=extractor)
    with pytest.raises(Sim2RealError) as caught:
        Policy.from_sb3(model)
    assert str(caught.value) == "a policy with a features extractor of its own cannot be stored in a bundle."


def test_metadata_must_be_plain():
    with pytest.raises(Sim2RealError, match="provenance must be JSON-plain"):
        BundleInfo(provenance={"seed": np.int64(3)})
    with pytest.raises(Sim2RealError, match="world must be a mapping"):
        BundleInfo(world=["Pendulum-v1"])
    assert BundleInfo(world={"range": (1, 2)}) == BundleInfo(world={"range": [1, 2]})
