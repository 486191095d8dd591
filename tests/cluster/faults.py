"""The faults of tests/cluster/run: each is begun, held for a while and taken back.

A fault names the nodes that can't be asked while it lasts (`victims`; the load asks them all the same), and whether changes must be committed while it lasts (`goes_on`).
"""
import contextlib
import dataclasses
import os
import pathlib
import signal
import struct
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
DAY = 86400


@dataclasses.dataclass
class Fault:
    what: str
    victims: list
    undo: object
    seconds: float  # it is held
    goes_on: bool = True
    hidden: tuple = ()  # nodes that are not asked meanwhile: they would not answer


class Library:
    """What tests/cluster/fault_library.c does in the daemons, by a file for each."""

    def __init__(self, folder, node_ids):
        self.path = os.path.join(folder, "fault_library.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", self.path, HERE / "fault_library.c", "-ldl"], check=True, capture_output=True, text=True)
        self.files = {node_id: os.path.join(folder, f"faults-{node_id}") for node_id in node_ids}
        for node_id in node_ids:
            self.set(node_id)

    def set(self, node_id, clock_seconds=0, sync_seconds=0.0):
        with open(os.open(self.files[node_id], os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(struct.pack("qq", clock_seconds, int(sync_seconds * 1e6)))

    def environment(self, node_id):
        return {"LD_PRELOAD": self.path, "CONFD_TEST_FAULTS": self.files[node_id]}


class Faults:
    """Begins one of a kind. `network`: None where no links can be cut. `long`: stops of up to 20 s."""

    def __init__(self, cluster, chance, network, library, slow_disk, long):
        self.cluster, self.chance, self.network, self.library, self.slow_disk, self.long = cluster, chance, network, library, slow_disk, long
        self.ended = []  # (node, wall time) of each daemon's end
        self.lease = cluster.lease

    def kinds(self):
        kinds = {"kill-master": self.kill_master, "kill-node": self.kill_node, "stop-master": self.stop_master, "stop-node": self.stop_node,
                 "member-lost": self.member_lost, "member-stopped": self.member_stopped, "quorum-lost": self.quorum_lost, "machine-lost": self.machine_lost,
                 "hand-over": self.hand_over, "clock": self.clock, "slow-disk": self.slow_node}
        if self.slow_disk.group:
            kinds["slow-store"] = self.slow_store
        if self.network:
            kinds.update({"cut-both": self.cut_both, "cut-out": self.cut_out, "cut-in": self.cut_in, "cut-link": self.cut_link, "cut-store": self.cut_store,
                          "disk-full": self.disk_full})
        return kinds

    # -- who
    def master(self):
        return self.cluster.master(30).node_id

    def other(self):
        return self.chance.choice([node_id for node_id in self.cluster.ids if node_id != self.master()])

    def any(self):
        """The master half of the time."""
        return self.master() if self.chance.random() < 0.5 else self.other()

    def named(self, node_id):
        return f"{node_id}, the master" if node_id in self.cluster.masters() else f"{node_id}"

    def a_while(self, least=0.5, most=4.0):
        return self.chance.uniform(least, most)

    def longer_than_the_lease(self):
        return self.chance.uniform(self.lease + 1, self.lease + 2.5)

    def long_stop(self):
        """Up to 20 s, the longer the rarer."""
        return self.chance.triangular(self.lease + 1, 20, self.lease + 1) if self.long else self.longer_than_the_lease()

    # -- processes
    def kill(self, node_id):
        self.cluster.nodes[node_id].kill()
        self.ended.append((node_id, time.time()))

    def kill_master(self):
        node_id = self.master()
        self.kill(node_id)
        return Fault(f"kill -9 of the master, {node_id}", [node_id], lambda: self.cluster.start_node(node_id), self.a_while(0, 2))

    def kill_node(self):
        node_id = self.other()
        self.kill(node_id)
        return Fault(f"kill -9 of {node_id}", [node_id], lambda: self.cluster.start_node(node_id), self.a_while(0, 2))

    def stop(self, node_id, seconds):
        what = f"{self.named(node_id)} stopped for {seconds:.1f} s"
        process = self.cluster.nodes[node_id].process
        process.send_signal(signal.SIGSTOP)
        return Fault(what, [node_id], lambda: process.send_signal(signal.SIGCONT), seconds, hidden=(node_id,))

    def stop_master(self):
        return self.stop(self.master(), self.long_stop() if self.chance.random() < 0.7 else self.a_while(0.2, self.lease))

    def stop_node(self):
        return self.stop(self.other(), self.long_stop() if self.chance.random() < 0.7 else self.a_while(0.2, self.lease))

    # -- the store
    def member_lost(self):
        number = self.chance.choice(list(self.cluster.members))
        member = self.cluster.members[number]
        member.kill()
        return Fault(f"kill -9 of etcd on {number}", [], member.start, self.a_while(1, 6))

    def member_stopped(self):
        number = self.chance.choice(list(self.cluster.members))
        member = self.cluster.members[number]
        member.pause()
        return Fault(f"etcd on {number} stopped", [], member.resume, self.a_while(1, 8))

    def quorum_lost(self):
        numbers = self.chance.sample(list(self.cluster.members), 2)
        members = [self.cluster.members[number] for number in numbers]
        if self.chance.random() < 0.5:
            for member in members:
                member.kill()

            def undo():
                for member in members:
                    member.start(wait=False)
                for member in members:
                    member.wait()
            return Fault(f"kill -9 of etcd on {numbers[0]} and {numbers[1]}", [], undo, self.longer_than_the_lease() / 2, goes_on=False)
        for member in members:
            member.pause()
        return Fault(f"etcd on {numbers[0]} and {numbers[1]} stopped", [], lambda: [member.resume() for member in members], self.longer_than_the_lease() / 2,
                     goes_on=False)

    def machine_lost(self):
        node_id = self.any()
        what = f"kill -9 of everything on {self.named(node_id)}"
        self.kill(node_id)
        self.cluster.members[node_id].kill()

        def undo():
            self.cluster.members[node_id].start(wait=False)
            self.cluster.start_node(node_id)
            self.cluster.members[node_id].wait()
        return Fault(what, [node_id], undo, self.a_while(0.5, 5))

    def slow_store(self):
        writes = self.chance.choice([5, 10, 20])
        self.slow_disk.writes(writes)
        # All three share the cgroup and its limit: etcd may elect again and again, so nothing is promised but that nothing breaks.
        return Fault(f"{writes} writes a second for all of etcd", [], lambda: self.slow_disk.writes(0), self.a_while(2, 8), goes_on=False)

    # -- handing over
    def hand_over(self):
        to = self.other()
        answer = self.cluster.master(30).job("master_change", {"nids": [to]})
        if answer["result_code"] != 0:
            raise AssertionError(f"master_change to {to}: {answer}")
        return Fault(f"master_change to {to}", [], lambda: None, 0)

    # -- links
    def cut(self, node_id, how, rules):
        what = f"{self.named(node_id)}: {how}"
        self.network.rules(node_id, rules)
        return Fault(what, [node_id], lambda: self.network.rules(node_id, []), self.longer_than_the_lease())

    def others(self, node_id):
        return [number for number in self.cluster.ids if number != node_id]

    def cut_both(self):
        node_id = self.any()
        return self.cut(node_id, "cut off from the others", [rule(number) for number in self.others(node_id) for rule in (self.network.to, self.network.of)])

    def cut_out(self):
        node_id = self.any()
        return self.cut(node_id, "hears the others and can't speak to them", [self.network.to(number) for number in self.others(node_id)])

    def cut_in(self):
        node_id = self.any()
        return self.cut(node_id, "speaks to the others and can't hear them", [self.network.of(number) for number in self.others(node_id)])

    def cut_link(self):
        node_id = self.any()
        other = self.chance.choice(self.others(node_id))
        fault = self.cut(node_id, f"no link to {other}", [self.network.to(other), self.network.of(other)])
        fault.victims = []  # both reach the third
        return fault

    def cut_store(self):
        node_id = self.any()
        # Its own member is reached through the loopback device and stays with the others.
        return self.cut(node_id, "its daemon cut off from all of etcd", self.network.to_stores(node_id))

    # -- what a machine does
    def disk_full(self):
        node_id = self.any()
        what = f"disk of {self.named(node_id)} full"
        self.network.fill(node_id)
        # A master that can't keep a record of a job refuses it and gives mastership to another node.
        return Fault(what, [], lambda: self.network.free(node_id), self.a_while(2, 8))

    def clock(self):
        node_id = self.any()
        days = self.chance.choice([1, 3, -1])
        what = f"clock of {self.named(node_id)} {days:+} days"
        self.library.set(node_id, clock_seconds=days * DAY)
        return Fault(what, [], lambda: self.library.set(node_id), self.longer_than_the_lease())

    def slow_node(self):
        node_id = self.any()
        seconds = self.chance.choice([0.05, 0.3, 1.0])
        what = f"disk of {self.named(node_id)} takes {seconds} s for a sync"
        self.library.set(node_id, sync_seconds=seconds)
        return Fault(what, [], lambda: self.library.set(node_id), self.a_while(2, 8))


@contextlib.contextmanager
def hidden(cluster, node_ids):
    """The load does not ask these nodes."""
    cluster.hidden |= set(node_ids)
    try:
        yield
    finally:
        cluster.hidden -= set(node_ids)
