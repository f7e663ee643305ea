"""Seeds: one number from the user, and from it independent ones for everything that draws."""

from __future__ import annotations

import zlib

import numpy as np


def derive_seed(seed: int, purpose: str, index: int = 0) -> int:
    """Return the seed that ``purpose`` derives from the user's seed.

    Args:
        seed: The user's seed, not negative.
        purpose: What draws, e.g. ``"training"``; distinct purposes get independent seeds.
        index: Which of several of this purpose.

    Returns:
        A number in ``[0, 2**31)``, the range that every library takes.
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), index])
    return int(sequence.generate_state(1)[0] >> 1)
