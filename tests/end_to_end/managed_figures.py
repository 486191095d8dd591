#!/usr/bin/python3
"""Memory and disk of the managed store's members while modify jobs are committed: managed_figures.py --jobs 3000 --clients 4

Three nodes on this machine. Prints a line for each node at the end; exit code 1 when a limit of docs/cluster.md is broken.
"""
import argparse
import os
import pathlib
import sys
import threading
import time

from managed import ManagedCluster, etcd_pid

MEGABYTE = 1 << 20
MOST_MEMORY = 150 * MEGABYTE
MOST_DISK = 200 * MEGABYTE  # while a full log file of etcd waits to be removed, 30 s


def memory(pid):
    """(now, highest) resident bytes."""
    lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


def disk(folder):
    """Allocated bytes."""
    total = 0
    for path in pathlib.Path(folder).rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except OSError:  # etcd has just removed it
            pass
    return total


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--jobs", type=int, default=3000)
    options.add_argument("--clients", type=int, default=4)
    options = options.parse_args()
    with ManagedCluster(3) as cluster:
        for number in range(options.clients):
            cluster.committed("user_create", {"username": f"u{number}", "userid": 5000 + number, "group": "exausers", "login_enabled": False,
                                              "password": "Secret-1"})
        master = cluster.master()
        highest_disk = dict.fromkeys(cluster.nodes, 0)
        failed = []

        def client(number):
            calls = master.rpc("/RPC2")
            for turn in range(options.jobs // options.clients):
                answer = calls.job_exec("user_modify", {"params": {"username": f"u{number}", "login_enabled": turn % 2 == 0}})
                if answer["result_code"] != 0:
                    failed.append(answer)
                    return
        began = time.monotonic()
        first = master.revision()
        threads = [threading.Thread(target=client, args=(number,)) for number in range(options.clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.5)
            for node_id, node in cluster.nodes.items():
                highest_disk[node_id] = max(highest_disk[node_id], disk(node.path("data/etcd")))
        took = time.monotonic() - began
        text = cluster.equal()
        if failed:
            sys.exit(f"a job failed: {failed[0]}")
        print(f"{options.jobs} user_modify, {options.clients} clients, {took:.0f} s ({options.jobs / took:.0f} a second), "
              f"{master.revision() - first} revisions, EXAConf {len(text)} bytes")
        broken = False
        for node_id, node in cluster.nodes.items():
            now, highest = memory(etcd_pid(node))
            database = os.stat(node.path("data/etcd/member/snap/db")).st_size
            print(f"  node {node_id}: memory {now / MEGABYTE:.0f} MB, highest {highest / MEGABYTE:.0f}; disk {disk(node.path('data/etcd')) / MEGABYTE:.0f} MB, "
                  f"highest {highest_disk[node_id] / MEGABYTE:.0f}; database {database / MEGABYTE:.1f} MB; confd {node.memory() / MEGABYTE:.0f} MB")
            broken |= highest > MOST_MEMORY or highest_disk[node_id] > MOST_DISK
        return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
