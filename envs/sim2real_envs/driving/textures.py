"""Textures that surfaces may have in an episode: a few patterns, drawn once, each of them faint to strong."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim2real_envs.bullet import pybullet as p

TILE = 1.6
"""Size of a pattern on a surface, after which it comes again [m]."""
PATTERNS = 6
"""How many there are."""
CONTRASTS = (0.0, 0.2, 0.4, 0.6)
"""How much darker a texture is where it is darkest; the first is plain."""

_PIXELS = 32
_SEED = 0
_TGA_HEADER = bytes((0, 0, 2, *[0] * 9, _PIXELS, 0, _PIXELS, 0, 24, 0))  # uncompressed, 24 bits a pixel


def make_patterns() -> NDArray[np.float64]:
    """Return how dark the patterns are, from 0 to 1: stripes along and across, tiles, blotches and grain.

    Returns:
        Shape (PATTERNS, 32, 32); every one goes on at its edges.
    """
    rng = np.random.default_rng(_SEED)
    down, across = np.mgrid[:_PIXELS, :_PIXELS]
    blotches = [np.kron(rng.random((n, n)), np.ones((_PIXELS // n, _PIXELS // n))) for n in (8, 16, 32)]
    return np.stack([(across // 4) % 2, (down // 4) % 2, (down // 8 + across // 8) % 2, *blotches]).astype(np.float64)


def load_textures(client: int) -> list[list[int]]:
    """Load all textures into a world; Bullet takes them from files only.

    Returns:
        Their ids, for every contrast those of all patterns.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for contrast in CONTRASTS:
            ids = []
            for number, pattern in enumerate(make_patterns()):
                grey = np.rint(255 * (1.0 - contrast * pattern)).astype(np.uint8)
                path = Path(folder) / f"{contrast}_{number}.tga"
                path.write_bytes(_TGA_HEADER + np.repeat(grey, 3).tobytes())
                ids.append(p.loadTexture(str(path), physicsClientId=client))
            found.append(ids)
    return found
