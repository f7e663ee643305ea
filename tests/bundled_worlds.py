"""What the tests of the bundled worlds share: envs that are closed after a test, random domains, a user's process."""

import os
import sys
from contextlib import contextmanager

from sim2real.domains.contract import domain_space


@contextmanager
def closed_afterwards(make):
    """Yield a function that does what ``make`` does, and close at the end what it has returned."""
    made = []

    def remember(*args, **kwargs):
        made.append(make(*args, **kwargs))
        return made[-1]

    yield remember
    for env in made:
        env.close()


def random_domain(env, rng, *, corners=False):
    """Draw every parameter within its bounds; with ``corners`` most of them at a bound."""
    space = domain_space(env)
    draws = {name: rng.uniform(p.low, p.high) for name, p in space.items()}
    if corners:
        draws = {name: float(rng.choice([p.low, p.high, draws[name]])) for name, p in space.items()}
    return draws


def user_environment():
    """Return the environment of a process in which a user has installed the packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
