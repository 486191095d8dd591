#!/usr/bin/env python3
"""kill -9 of a daemon that carries out st_* jobs, at random moments and at each failpoint of storage/. After each kill: confd is started
again, what was acknowledged is there, what was not is whole or absent, no sector is lost, files of volumes are as they were, and
`confd --fsck` has nothing to say.

    storage_kill_test.py                     each failpoint at its first passes, and 12 random moments
    storage_kill_test.py --random 300        so many random moments (also: CONFD_KILLS=300)
    storage_kill_test.py --seed 7            the same choices again (also: CONFD_SEED=7)

All kills of one test hit the same root. A failure names the seed and keeps the root.
"""
import hashlib
import os
import pathlib
import random
import re
import sys
import threading
import time
import unittest

from kill_load import GONE, Caller
from kill_test import CrashNode
from node import TOP, eventually

SEED = int(os.environ.get("CONFD_SEED", random.SystemRandom().randrange(1 << 31)))
KILLS = int(os.environ.get("CONFD_KILLS", 12))
BLOCK = 4096
STRIPE = 64  # blocks
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
INIT = ("--device-size", "64 MiB", "--data-volume-size", "4 MiB", "--archive-volume-size", "4 MiB")
SPARES = ("spare.1", "spare.2")


def bytes_of(size):
    number, unit = size.split()
    return int(float(number) * UNITS[unit])


def content_of(name, number):
    return hashlib.sha256(f"{name}/{number}".encode()).digest() * 256


class Model:
    """What one client at a time was told of one thing. `now` is what is acknowledged; `maybe` what a call that was cut off would have made of it."""

    def __init__(self, now):
        self.now, self.maybe = now, now

    def begin(self, maybe):
        self.maybe = maybe

    def end(self, happened):
        self.now = self.maybe if happened else self.now
        self.maybe = self.now

    def settle(self, what, there):
        """After a crash: it is one or the other."""
        if there not in (self.now, self.maybe):
            raise AssertionError(f"{what}: it was {self.now}, the call under way would have made it {self.maybe}, and it is {there}")
        self.now = self.maybe = there


class Clients:
    """Each works on volumes of its own name, one on devices, until the daemon dies."""

    def __init__(self, test, seed):
        self.test, self.node = test, test.node
        self.stopping = threading.Event()
        self.problems = []
        work = [(self.volumes, name) for name in test.names] + [(self.devices, None)]
        self.threads = [threading.Thread(target=self.run, args=(task, name, random.Random(f"{seed}/{name}")), daemon=True) for task, name in work]
        for thread in self.threads:
            thread.start()

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                raise AssertionError("a client still waits for an answer of a daemon that is dead")
        if self.problems:
            raise self.problems[0]

    def run(self, task, name, choice):
        try:
            call = Caller(self.node)
            while not self.stopping.is_set():
                task(call, name, choice)
        except GONE:
            pass  # killed
        except BaseException as problem:
            self.problems.append(problem)

    def job(self, call, model, maybe, name, params, refusals=()):
        model.begin(maybe)
        envelope = call("job_exec", name, {"params": params})
        # Interrupted is what a job is told that ran when the confd before this one died; none of ours here.
        if envelope["result_code"] != 0 and envelope["result_name"] not in refusals:
            raise AssertionError(f"{name} {params}: {envelope}")
        model.end(envelope["result_code"] == 0)
        self.test.count(envelope["result_code"] == 0)
        return envelope

    def volumes(self, call, name, choice):
        model = self.test.models[name]
        if model.now is None:
            blocks = STRIPE * choice.randint(1, 24)
            kind = choice.choice(["data", "data", "archive"])
            made = self.job(call, model, (kind, blocks * BLOCK), "st_volume_create",
                            {"name": name, "type": kind, "disk": "disk1", "size": f"{blocks * BLOCK >> 10} KiB", "nodes": [11], "redundancy": 1,
                             "owner": ["admin", "exausers"]}, ["Busy"])
            if made["result_code"] == 0 and choice.random() < 0.7:
                self.test.put_content(name, made["result_output"]["vid"])
            return
        kind, size = model.now
        step = choice.random()
        block = BLOCK if kind == "data" else 65536
        blocks = max(1, choice.randint(1, 8) * STRIPE * BLOCK // block)
        if step < 0.3:
            self.job(call, model, (kind, size + blocks * block), "st_volume_enlarge", {"vname": name, "blocks_per_node": blocks}, ["Busy"])
        elif step < 0.55 and kind == "data" and size > (blocks + STRIPE) * BLOCK:
            self.job(call, model, (kind, size - blocks * BLOCK), "st_volume_shrink", {"vname": name, "blocks_per_node": blocks})
        elif step < 0.85:
            self.test.forget_content(name)
            self.job(call, model, None, "st_volume_delete", {"vname": name})
        else:
            self.job(call, model, model.now, "st_volume_add_label", {"vname": name, "label": f"label{choice.randint(1, 9)}"}, ["Exists"])

    def devices(self, call, _, choice):
        spare = choice.choice(SPARES)
        model = self.test.models[spare]
        if model.now is None:
            disk = choice.choice(["disk1", "disk1", "disk2"])
            self.job(call, model, disk, "st_device_add", {"node": 11, "disk": disk, "devname": spare})
        else:  # what has segments stays
            self.job(call, model, None, "st_device_remove", {"node": 11, "devname": spare}, ["Busy", "WrongState"])
        time.sleep(choice.uniform(0, 0.1))


class StorageKill(unittest.TestCase):
    def setUp(self):
        self.choice = random.Random(f"{SEED}/{self._testMethodName}")
        self.names = ("one", "two", "three")
        self.models = {name: Model(None) for name in (*self.names, *SPARES)}
        self.contents = {}  # name -> path of a file that must be there as long as the volume is
        self.rounds = self.done = self.refused = 0
        self.lock = threading.Lock()
        self.node = CrashNode(init=INIT)
        for spare in SPARES:
            with open(self.node.path(f"data/storage/{spare}"), "wb") as file:
                file.truncate(24 << 20)
        self.node.start()
        eventually(lambda: all(volume["state"] == "ONLINE" for volume in self.job("st_volume_list")), 60, "the first volumes")
        self.node.kill()

    def tearDown(self):
        print(f"{self._testMethodName}: {self.rounds} rounds, {self.done} jobs done, {self.refused} refused, seed {SEED}", file=sys.stderr)
        self.node.__exit__()

    def count(self, happened):
        with self.lock:
            self.done += happened
            self.refused += not happened

    def job(self, name, params=None):
        envelope = self.node.rpc("/RPC2").job_exec(name, {"params": params or {}})
        if envelope["result_code"] != 0:
            raise AssertionError(f"{name} {params}: {envelope}")
        return envelope["result_output"]

    # -- content of volumes: as services will put it there
    def put_content(self, name, vid):
        folders = list(self.node.path("data/storage").glob(f"*.d/{vid}/0.1"))
        if len(folders) != 1:
            raise AssertionError(f"volume {name} with id {vid} was acknowledged; its folders: {folders}")
        path = folders[0] / f"content-of-{name}"
        with open(path, "wb") as file:
            file.write(content_of(name, vid))
            file.flush()
            os.fsync(file.fileno())
        with self.lock:
            self.contents[name] = (path, vid)

    def forget_content(self, name):
        """Before a delete: from here on it may be there or not."""
        with self.lock:
            self.contents.pop(name, None)

    # -- what must hold
    def used_and_wanted(self):
        config = self.node.exaconf()
        disks = dict(re.findall(r"\[\[Disk : (\S+)\]\].*?Devices = ([^\n]*)", config, re.S))
        devices = {device.strip(): disk for disk, names in disks.items() for device in names.split(",") if device.strip()}
        used = 0
        for device in devices:
            info = self.job("st_device_info", {"node_id": 11, "devname": device})
            if info["state"] != "ONLINE":
                raise AssertionError(f"device {device}: {info}")
            used += (info["num_data_sectors"] - info["num_free_sectors"]) * info["sector_size"]
        volumes = {volume["name"]: volume for volume in self.job("st_volume_list")}
        return used, sum(bytes_of(volume["size"]) for volume in volumes.values()), volumes, devices

    def check(self):
        last = []

        def settled():
            # What was accepted and not begun is carried out after the restart.
            if any(list(self.node.path(f"spool/jobs/{folder}").glob("*")) for folder in ("queue", "run")):
                return False
            last[:] = self.used_and_wanted()
            used, wanted, volumes, _ = last
            return used == wanted and all(volume["state"] == "ONLINE" for volume in volumes.values())
        try:
            eventually(settled, 60, "sectors taken = sectors of the volumes")
        except AssertionError as problem:
            raise AssertionError(f"{problem}: taken and wanted {last[:2]}, volumes {last[2:]}\n{self.node.log()[-3000:]}") from None
        _, _, volumes, devices = last
        config = self.node.exaconf()
        for name in self.names:
            there = volumes.get(name)
            kind = re.search(rf"^\[EXAVolume : {name}\]\n *Type = (\w+)$", config, re.M)
            self.models[name].settle(f"volume {name}", None if there is None else (kind and kind[1], bytes_of(there["size"])))
            if there is None and name in self.contents:
                raise AssertionError(f"volume {name} is gone with its content; nobody deleted it")
        for spare in SPARES:
            self.models[spare].settle(f"device {spare}", devices.get(spare))
        for name, (path, vid) in self.contents.items():
            if path.read_bytes() != content_of(name, vid):
                raise AssertionError(f"{path} is not what was written")

    def fsck(self):
        done = self.node.run("confd", "--root", self.node.root, "--fsck", check=False)
        if done.returncode != 0 or not done.stdout.endswith("Clean\n"):
            raise AssertionError(f"confd --fsck: {done.returncode} {done.stdout}{done.stderr}")

    def round(self, describe, env=None, seconds=0.0):
        """One life: start, load, kill, start again, check, kill again, --fsck. True when `env` killed it."""
        self.rounds += 1
        node = self.node
        by_itself = True
        try:
            if node.started(env):
                clients = Clients(self, self.choice.random())
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline and not node.is_dead() and not clients.problems:
                    time.sleep(0.002)
                by_itself = node.is_dead()
                if not by_itself:
                    node.process.kill()
                node.buried()
                clients.finish()
            else:
                node.buried()
            if self.choice.random() < 0.2:  # what follows a crash is killed as well, now and then
                node.start(wait=False)
                time.sleep(self.choice.uniform(0, 0.3))
                node.process.kill()
                node.buried()
            node.start()
            self.check()
            node.kill()
            self.fsck()
        except BaseException as problem:
            folder, node.folder = node.folder, "/nonexistent"
            raise AssertionError(f"{describe}, round {self.rounds}, seed {SEED}, root kept in {folder}: {problem}") from problem
        return by_itself

    def test_each_failpoint(self):
        names = sorted({name for path in (TOP / "storage").glob("*.cpp") for name in re.findall(r'CONFD_FAILPOINT\("(storage\.[^"]+)"\)', path.read_text())})
        self.assertGreater(len(names), 5, names)
        for name in names + ["scheduler.executed", "publisher.written"]:
            hit = self.round(f"failpoint {name}", {"CONFD_FAILPOINT_KILL": f"{name}:{self.choice.randint(1, 3)}"}, 60)
            self.assertTrue(hit, f"the load never came to failpoint {name}")

    def test_random_moments(self):
        for number in range(KILLS):
            self.round(f"random kill {number}", None, self.choice.uniform(0.05, 1.2))
            if (number + 1) % 25 == 0:
                print(f"  {number + 1} kills, {self.done} jobs", file=sys.stderr, flush=True)


if __name__ == "__main__":
    for option in ("--random", "--seed"):
        if option in sys.argv:
            at = sys.argv.index(option)
            value = int(sys.argv[at + 1])
            del sys.argv[at:at + 2]
            if option == "--random":
                KILLS = value
            else:
                SEED = value
    unittest.main(warnings="ignore")
