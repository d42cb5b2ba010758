"""Run by a test in a process of its own: a Ray cluster of two nodes crawls, and one of them is lost on the way.

usage: crawl_on_two_nodes.py PARAMS   prints `ready` when the cluster is up; a line on standard input loses a node.
"""

from __future__ import annotations

import os
import sys
import threading

from ray.cluster_utils import Cluster

from crawler.crawl import crawl
from crawler.params import load_crawl_params


def main() -> None:
    """Start, crawl, lose a node when told to, print the outcome."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    print("ready", flush=True)

    def lose_a_node() -> None:
        sys.stdin.readline()
        cluster.remove_node(other, allow_graceful=False)
        print("lost", flush=True)

    threading.Thread(target=lose_a_node, daemon=True).start()
    outcome = crawl(
        load_crawl_params(sys.argv[1], []), decoders=1, on_ray=True, say=lambda line: print(line, flush=True)
    )
    assert outcome.report is not None
    print("stored", outcome.report.content["sources"]["list"]["stored"], flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
