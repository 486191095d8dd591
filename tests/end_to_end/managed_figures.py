#!/usr/bin/python3
"""Figures of a managed store on three nodes of this machine.

    managed_figures.py --jobs 3000 --clients 4    memory and disk of its members while modify jobs are committed; exit code 1 when a
                                                  limit of docs/cluster.md is broken
    managed_figures.py --failover 10              kill -9 of the master together with its member of etcd, so many times: seconds until the
                                                  next job is committed, and which node led etcd before
"""
import argparse
import os
import pathlib
import signal
import statistics
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


def failover(options):
    took = []
    with ManagedCluster(3) as cluster:
        cluster.committed("user_create", {"username": "u", "userid": 5000, "group": "exausers", "login_enabled": False, "password": "Secret-1"})
        for turn in range(options.failover):
            cluster.healthy()
            cluster.members([11, 12, 13])
            leader = cluster.led_from_elsewhere()
            master = cluster.master()
            began = time.monotonic()
            master.kill()
            os.kill(etcd_pid(master), signal.SIGKILL)
            cluster.committed("user_modify", {"username": "u", "login_enabled": turn % 2 == 0}, 60)
            took.append(time.monotonic() - began)
            print(f"master {master.node_id}, etcd led by {leader}: {took[-1]:.2f} s", flush=True)
            cluster.start_node(master.node_id)
            cluster.equal(60)
    print(f"{len(took)} times: p50 {statistics.median(took):.2f} s, slowest {max(took):.2f} s")
    return 0


def load(options):
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



def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--failover", type=int, default=0)
    options = parser.parse_args()
    return failover(options) if options.failover else load(options)


if __name__ == "__main__":
    sys.exit(main())
