"""Run a command on a Ray cluster of this machine whose one working node is killed, and replaced, in the middle.

    python two_nodes.py PATTERN COMMAND...

It is killed as soon as a path fits the pattern. The command, whose status this ends with, finds ADDRESS replaced.
"""

import glob
import subprocess
import sys
import time


def main() -> int:
    from ray.cluster_utils import Cluster

    pattern, *command = sys.argv[1:]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        first = cluster.add_node(num_cpus=1)
        with subprocess.Popen([cluster.address if part == "ADDRESS" else part for part in command]) as driver:
            while driver.poll() is None and not glob.glob(pattern):
                time.sleep(0.02)
            if driver.poll() is None:
                sys.stdout.write(f"killed when there was {glob.glob(pattern)}\n")
                cluster.remove_node(first, allow_graceful=False)
                cluster.add_node(num_cpus=1)
            return driver.wait()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main())
