"""Draw a picture of every world, and a contact sheet of some, into docs/images/worlds/.

python scripts/picture_worlds.py                          # simple rules act
python scripts/picture_worlds.py --policies runs/worlds   # policies of benchmark_worlds.py act, where there are any
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from world_runs import DOCS, PLUGIN

from sim2real.deployment.bundle import load_policy
from sim2real.domains.contract import Env, observation_channels
from sim2real.domains.world import World
from sim2real.errors import Sim2RealError
from sim2real.files import make_folder, write_atomic

SIZE = (400, 300)
"""Of a picture [pixels]."""
COLOURS = 256
"""Of a picture: few make small files."""
CAPTION = 26
"""Height of the caption of a picture on the contact sheet [pixels]."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a world."""

    env: str
    """Its id, without namespace and version."""
    caption: str
    """What is written over it on the contact sheet."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the env."""
    seed: int = 1
    """Of the episode."""
    steps: int = 12
    """Control steps before it is taken."""

    @property
    def is_photo(self) -> bool:
        """Whether it is what the world's own camera sees."""
        return self.kwargs.get("observation") == "camera"


_ROBOTS = {"Panda": "Franka Panda", "Kuka": "KUKA iiwa", "XArm6": "xArm6"}
_TASKS = {"Reach": (8, "reaches"), "Push": (14, "pushes"), "PickAndPlace": (12, "picks and places")}
PICTURES = {
    **{
        f"{robot}{task}": Picture(env=f"{robot}{task}", steps=steps, caption=f"{words} {verb}")
        for robot, words in _ROBOTS.items()
        for task, (steps, verb) in _TASKS.items()
    },
    "Drive": Picture(env="Drive", steps=45, caption="race car"),
    "DriveTraffic": Picture(env="DriveTraffic", seed=5, steps=44, caption="race car in traffic"),
    "SkidDrive": Picture(env="SkidDrive", steps=60, caption="skid-steered vehicle"),
    "Drive-camera": Picture(env="Drive", kwargs={"observation": "camera"}, seed=4, caption="what its camera sees"),
    "Labyrinth": Picture(env="Labyrinth", steps=40, caption="labyrinth, easy"),
    "Labyrinth-medium-1": Picture(
        env="Labyrinth", kwargs={"layout": "medium-1"}, steps=40, caption="labyrinth, medium"
    ),
    "Labyrinth-hard-1": Picture(env="Labyrinth", kwargs={"layout": "hard-1"}, steps=40, caption="labyrinth"),
    "Labyrinth-camera": Picture(env="Labyrinth", kwargs={"observation": "camera"}, steps=40, caption="its camera"),
}
SHEET = ("PandaReach", "XArm6Push", "KukaPickAndPlace", "DriveTraffic", "Drive-camera", "Labyrinth-hard-1")
"""Pictures on the contact sheet, three in a row."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--policies", metavar="DIR", type=Path, help="runs of benchmark_worlds.py, to act in the worlds"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=DOCS / "images" / "worlds")
    args = parser.parse_args()
    make_folder(args.out)
    drawn = {}
    for name, picture in PICTURES.items():
        run = None if args.policies is None else args.policies / name / "seed_0"
        drawn[name] = draw(picture, run if run is not None and run.exists() else None)
        save(drawn[name], args.out / f"{name}.png")
    save(contact_sheet([(drawn[name], PICTURES[name].caption) for name in SHEET]), args.out / "worlds.png")
    print(f"{sum(path.stat().st_size for path in args.out.glob('*.png')) / 1000:.0f} kB in {args.out}")


def draw(picture: Picture, run: Path | None) -> Image.Image:
    """Play some steps of an episode and return what there is to see then.

    Args:
        picture: What to draw.
        run: Run folder of the policy that acts; a simple rule if ``None``.
    """
    world = World.of(f"{PLUGIN}:sim2real/{picture.env}-v0", kwargs=picture.kwargs)
    policy = None if run is None else load_policy(run)
    with closing(world.make(render_mode="rgb_array")) as env:
        observation, _ = env.reset(seed=picture.seed)
        for _ in range(picture.steps):
            action = rule(env, observation) if policy is None else policy.predict(observation)
            observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
        frame: Any = env.render()
    if picture.is_photo:
        photo = observation["image"] if isinstance(observation, dict) else observation[:, :, -1]
        image = Image.fromarray(photo).convert("RGB").resize((SIZE[1], SIZE[1]), Image.Resampling.NEAREST)
        padded = Image.new("RGB", SIZE, "white")
        left = (SIZE[0] - SIZE[1]) // 2
        padded.paste(image, (left, 0))
        ImageDraw.Draw(padded).rectangle((left, 0, left + SIZE[1] - 1, SIZE[1] - 1), outline=(160, 160, 160))
        return padded
    return Image.fromarray(frame).resize(SIZE, Image.Resampling.LANCZOS)


def rule(env: Env, observation: Any) -> NDArray[np.float32]:
    """Return an action that makes for a picture: towards what is to be reached, or along the road."""
    if not isinstance(observation, np.ndarray) or observation.ndim != 1:
        # A camera's picture: straight on, or the board level.
        return np.array([0.0, 0.3 if isinstance(observation, dict) else 0.0], np.float32)
    seen, start = {}, 0
    for channel in observation_channels(env) or ():
        seen[channel.name] = observation[start : start + channel.width]
        start += channel.width
    if "lidar" in seen:
        left, right = np.split(np.minimum(seen["lidar"], 4.0), 2)[::-1]
        turn = float(np.clip(0.8 * (left.mean() - right.mean()), -1.0, 1.0))
        values = [turn, 0.3] if "steering" in seen else [0.5 - 0.4 * turn, 0.5 + 0.4 * turn]
    elif "waypoint_offset" in seen:
        values = list(8.0 * seen["waypoint_offset"][:2] - 2.0 * seen["marble_velocity"])
    else:
        way = seen.get("object_offset", seen["goal_offset"]) / 0.05
        values = [*way, 1.0][: env.action_space.shape[0]]  # type: ignore[index]
    return np.clip(np.array(values, np.float32), -1.0, 1.0)


def contact_sheet(tiles: list[tuple[Image.Image, str]]) -> Image.Image:
    """Return pictures with their captions, three in a row."""
    width, height = SIZE[0], SIZE[1] + CAPTION
    sheet = Image.new("RGB", (3 * width + 16, -(-len(tiles) // 3) * (height + 8)), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(tiles):
        x, y = index % 3 * (width + 8), index // 3 * (height + 8)
        sheet.paste(image, (x, y + CAPTION))
        pen.text((x + 4, y + CAPTION / 2), caption, fill=(32, 33, 36), font=ImageFont.load_default(16), anchor="lm")
    return sheet


def save(image: Image.Image, path: Path) -> None:
    """Write a picture as a small PNG file."""
    buffer = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    write_atomic(path, buffer.getvalue())


if __name__ == "__main__":
    try:
        main()
    except Sim2RealError as error:
        sys.exit(f"error: {error}")
