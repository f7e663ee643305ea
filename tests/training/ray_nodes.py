"""Hold a Ray cluster with two working nodes: prints its address, and kills the node that each line it reads names."""

import sys


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
        print(cluster.address, flush=True)  # noqa: T201
        for name in sys.stdin:
            (node,) = (node for node in nodes if node.node_id == name.strip())
            cluster.remove_node(node, allow_graceful=False)
            print("killed", flush=True)  # noqa: T201
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
