"""Write what the worlds observe, do, and differ in, and their targets, from the code into docs/worlds.md.

python scripts/describe_worlds.py            # after a change of a world; a test tells when it is time
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from world_runs import DOCS, PLUGIN, replace_part

from sim2real.domains.channels import Channel
from sim2real.domains.contract import action_channels, domain_space, observation_channels
from sim2real.domains.space import Parameter
from sim2real.domains.targets import NOMINAL, Target, list_targets
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.files import write_atomic

PAGE = DOCS / "worlds.md"
ROOMS: Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "arms": {
        "Reach": ("PandaReach-v0", {}),
        "Push": ("PandaPush-v0", {}),
        "PickAndPlace": ("PandaPickAndPlace-v0", {}),
        "`control=joint`": ("PandaReach-v0", {"control": "joint"}),
    },
    "driving": {
        "Drive": ("Drive-v0", {}),
        "DriveTraffic": ("DriveTraffic-v0", {}),
        "SkidDrive": ("SkidDrive-v0", {}),
        "`observation=camera`": ("Drive-v0", {"observation": "camera"}),
    },
    "labyrinth": {
        "state": ("Labyrinth-v0", {}),
        "`observation=camera`": ("Labyrinth-v0", {"observation": "camera"}),
    },
}
"""Room -> name in the tables -> id and arguments of a world that stands for all of its kind."""

MEANINGS = {
    "action_delay": "age of the action that is carried out",
    "board_warp": "slope over distance from the middle; positive: a dome",
    "camera_height": "of the camera over the ground",
    "camera_latency": "age of the newest picture",
    "camera_pitch": "down from level",
    "camera_yaw": "of the camera, to the left",
    "centre_of_mass": "shifted forwards",
    "drivetrain_delay": "dead time of the motors",
    "gravity_tilt": "the base leans forward",
    "grip_patches": "grip that is missing on a fifth of the track",
    "gripper_force": "largest force of the gripper",
    "gripper_friction": "of the fingers",
    "joint_damping": "viscous friction of a joint of 100 N m; of others in proportion to their torque",
    "joint_friction": "dry friction of the strongest joints; in proportion in weaker ones",
    "lidar_dropout": "share of beams that come back empty",
    "lidar_noise": "standard deviation of a beam",
    "lidar_range": "what is farther away reads as this far",
    "link_mass": "mass and inertia of every link",
    "look_variation": "how far colours and light are from the usual ones",
    "marble_mass": "its weight bends the drive of the board",
    "marble_radius": "",
    "mass": "mass and moment of inertia",
    "motor_strength": "largest torque of the motors; of vehicles their top speed too",
    "object_friction": "of the cube; a contact has the product of the two that touch",
    "object_mass": "of the cube",
    "object_restitution": "of the cube",
    "object_size": "edge of the cube",
    "observation_noise": "factor on the noise of every channel",
    "payload": "in the gripper, unknown to the controller",
    "position_gain": "bandwidth of the position loops",
    "restitution": "of the marble against walls",
    "rolling_friction": "resistance over weight; slopes below it hold the marble",
    "servo_backlash": "play between servo and board",
    "servo_bias_x": "slope of the board with its servo at zero",
    "servo_bias_y": "slope of the board with its servo at zero",
    "servo_gain": "angle of a servo over the commanded one",
    "servo_lag": "time constant of a servo",
    "servo_stiffness": "of the joints against load that the controller does not know of",
    "sliding_friction": "of the marble",
    "slope": "the whole track leans, down towards x",
    "steering_bias": "of the wheels with the servo at zero, to the left",
    "steering_gain": "turn of the wheels per turn of the servo",
    "steering_lag": "time constant of the servo",
    "table_friction": "of the table",
    "traffic_speed": "of the other cars",
    "tyre_friction": "of tyres on the road",
    "wheel_imbalance": "right minus left speed, over their mean",
    "wheel_lag": "time constant of the wheels' speeds",
}
"""What a domain parameter is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    write_atomic(PAGE, rendered(PAGE.read_text(encoding="utf-8")))


def rendered(page: str) -> str:
    """Return the page with its descriptions made from the worlds."""
    for room in ROOMS:
        page = replace_part(page, f"{Path(__file__).name}: {room}", describe(room))
    return page


def describe(room: str) -> str:
    """Return the tables of a room: observation, action, domain parameters, targets."""
    observations: dict[str, Sequence[tuple[str, Channel]]] = {}
    actions: dict[str, Sequence[tuple[str, Channel]]] = {}
    parameters: dict[str, Sequence[tuple[str, tuple[str, Parameter]]]] = {}
    targets: dict[str, Sequence[tuple[str, Target]]] = {}
    for kind, (name, kwargs) in ROOMS[room].items():
        world = World.of(f"{PLUGIN}:sim2real/{name}", kwargs=kwargs)
        with closing(world.make()) as env:
            observations[kind] = [(channel.name, channel) for channel in observation_channels(env) or ()]
            actions[kind] = [(channel.name, channel) for channel in action_channels(env) or ()]
            parameters[kind] = [(name, (MEANINGS[name], parameter)) for name, parameter in domain_space(env).items()]
        targets[kind] = [(name, target) for name, target in list_targets(world).items() if name != NOMINAL]
    channel_columns = ("numbers", "unit", "from", "to", "noise")
    tables = [
        _table("observes", channel_columns, observations, _channel_cells),
        _table("acts by", channel_columns[:-1], actions, lambda channel: _channel_cells(channel)[:-1]),
        _table(
            "domain parameter", ("what it is", "nominal", "trains in", "accepts", "unit"), parameters, _parameter_cells
        ),
        _table("target", ("what is different",), targets, lambda target: (target.description,)),
    ]
    return "\n\n".join(tables)


def _table(
    title: str,
    columns: Sequence[str],
    items: Mapping[str, Sequence[tuple[str, Any]]],
    cells: Callable[[Any], Sequence[str]],
) -> str:
    """Return a table of what several kinds of worlds have, one row for what is the same in some of them."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for kind, named in items.items():
        for name, item in named:
            rows.setdefault((f"`{name}`", *cells(item)), []).append(kind)
    lines = [f"| {' | '.join((title, *columns, 'in'))} |", "|---" * (len(columns) + 2) + "|"]
    for row, kinds in rows.items():
        where = "all" if len(kinds) == len(items) else ", ".join(kinds)
        lines.append(f"| {' | '.join((*row, where))} |")
    return "\n".join(lines)


def _channel_cells(channel: Channel) -> tuple[str, ...]:
    noise = f"{channel.noise:g}" if channel.noise else "–"
    return (f"{channel.width:,}", channel.unit, _number(channel.low), _number(channel.high), noise)


def _parameter_cells(entry: tuple[str, Parameter]) -> tuple[str, ...]:
    meaning, parameter = entry
    sign = {"=": "", "*": "× ", "+": "+ "}[parameter.operator]
    low, high = parameter.train_range
    return (
        meaning,
        f"{sign}{_number(parameter.nominal)}",
        f"{_number(low)} to {_number(high)}",
        f"{_number(parameter.low)} to {_number(parameter.high)}",
        parameter.unit if parameter.unit != "1" else "",
    )


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
