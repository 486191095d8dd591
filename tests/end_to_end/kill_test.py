#!/usr/bin/env python3
"""kill -9 at every write and at random moments under load; promises P1-P4 and P6 are checked from outside.

    kill_test.py                     each failpoint at its first passes, then 40 random moments
    kill_test.py --random 500        so many random moments (also: CONFD_KILLS=500)
    kill_test.py --failpoint store   only the failpoints of such names
    kill_test.py --seed 7            the same choices again (also: CONFD_SEED=7)

All kills of one test hit the same root, so that what one crash leaves behind is there at the next. A failure
names the seed and keeps the root; beside it lies `killed`, a copy of what the last kill left.
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time
import unittest

from kill_checks import check_after_restart, check_files
from kill_load import Caller, Ledger, Load, compare_sights
from node import TOP, Node, eventually

SEED = int(os.environ.get("CONFD_SEED", random.SystemRandom().randrange(1 << 31)))
KILLS = int(os.environ.get("CONFD_KILLS", 40))
FAILPOINTS = ""
# Files instead of memory, many checkpoints, and nothing is dropped: all ids are asked for again later.
SETTINGS = """
scheduler: {recent_jobs: 40, journal_bytes: 65536, keep_jobs: 10000000, keep_bytes: 1073741824}
login: {remember_seconds: 3600}
"""


class CrashNode(Node):
    def new_certificate(self):
        """Parameters of cert_update, two in turn: a key and the chain of its certificate and the authority."""
        if not hasattr(self, "certificates"):
            authority = self.certificate("authority", "-x509")
            self.certificates = []
            for name in ("first", "second"):
                key, cert = self.certificate(name, "-x509", "-CA", authority[1], "-CAkey", authority[0], "-addext", f"subjectAltName=IP:{self.address}")
                self.certificates.append({"key": key.read_text(), "cert": cert.read_text() + authority[1].read_text()})
        self.certificates.reverse()
        return self.certificates[0]

    def certificate(self, name, *options):
        key, cert = (pathlib.Path(self.folder, f"{name}.{kind}") for kind in ("key", "crt"))
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                        "-days", "30", "-subj", f"/CN={name}", *options], check=True, capture_output=True, timeout=60)
        return key, cert

    def is_dead(self):
        return self.process.poll() is not None

    def started(self, env=None):
        """Starts; True when it serves, False when a failpoint ended it before."""
        self.start(env=env, wait=False)
        eventually(lambda: self.is_dead() or self.ready(), 20, "confd answering or dead")
        return not self.is_dead()

    def buried(self):
        code = self.process.wait(timeout=30)
        self.process = None
        if code != -9:
            raise AssertionError(f"confd ended with {code} by itself:\n{self.output()[-4000:]}\n{self.log()[-2000:]}")

    def kept(self):
        """A copy of what the kill left, to look at when the check fails."""
        copy = pathlib.Path(self.folder, "killed")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path("etc"), copy / "etc")
        shutil.copytree(self.path("spool/jobs"), copy / "jobs", ignore=shutil.ignore_patterns("archive", "finish"))


class Kill(unittest.TestCase):
    def setUp(self):
        self.choice = random.Random(f"{SEED}/{self._testMethodName}")
        self.node = CrashNode(settings=SETTINGS)
        self.ledger = Ledger()
        self.rounds = self.jobs = self.interrupted = 0
        self.node.start()
        call = Caller(self.node)
        for number in range(8):
            envelope = call("job_exec", "user_create", {"params": {"username": f"worker{number}", "userid": 19000 + number, "password": "*",
                                                                  "group": "exausers", "login_enabled": False, "encode_passwd": False}})
            self.assertEqual(envelope["result_name"], "OK", envelope)
        self.ledger.revision = envelope["result_revision"]
        self.ledger.highest = int(envelope["result_jobid"].split(".")[1])
        self.node.kill()
        time.sleep(1)  # job_history counts in seconds: nothing of the above is in the first round

    def round(self, describe, env=None, seconds=0.0, certificates=False):
        """One life: start, load, kill, look at the disk, start again, check, kill again. True when `env` killed it."""
        self.rounds += 1
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        node = self.node
        by_itself = False
        try:
            if node.started(env):
                load = Load(node, self.ledger, self.choice.random(), certificates)
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline and not node.is_dead() and not load.problems:
                    time.sleep(0.002)
                by_itself = node.is_dead()
                if not by_itself:
                    node.process.kill()
                node.buried()
                load.finish()
            else:
                by_itself = True
                node.buried()
            check_files(node, self.ledger)
            node.kept()
            self.restart_roughly()
            jobs, interrupted = check_after_restart(node, self.ledger, since, self.choice)
            self.jobs += jobs
            self.interrupted += interrupted
            node.kill()
        except BaseException as problem:
            folder = node.folder
            if node.process is not None:
                node.process.kill()
                node.process.wait(timeout=30)
                node.process = None
            print(f"\n{describe} failed in round {self.rounds}; seed {SEED}, root kept in {folder}: {str(problem)[:3000]}", file=sys.stderr, flush=True)
            node.folder = "/nonexistent"
            raise AssertionError(f"{describe}, round {self.rounds}, seed {SEED}, root {folder}: {problem}") from problem
        return by_itself

    def restart_roughly(self):
        """Recovery is killed as well, now and then."""
        node = self.node
        kind = self.choice.random()
        if kind < 0.15:
            node.start(wait=False)
            time.sleep(self.choice.uniform(0, 0.08))
            node.process.kill()
            node.buried()
        elif kind < 0.3:
            name = self.choice.choice(["journal.written", "journal.synced", "replace.written", "replace.renamed", "scheduler.scheduled", "store.renamed"])
            if node.started({"CONFD_FAILPOINT_KILL": f"{name}:{self.choice.randint(1, 3)}"}):
                node.process.kill()
            node.buried()
        node.start()

    def tearDown(self):
        print(f"{self._testMethodName}: {self.rounds} rounds, {self.jobs} jobs, {self.interrupted} interrupted, revision {self.ledger.revision}, "
              f"seed {SEED}", file=sys.stderr)
        self.node.__exit__()

    def test_each_failpoint(self):
        sources = [path for folder in ("base", "exaconf", "cluster", "scheduler", "daemon") for path in (TOP / folder).glob("*.cpp")]
        names = sorted({name for path in sources for name in re.findall(r'CONFD_FAILPOINT\("([^"]+)"\)', path.read_text())})
        self.assertGreater(len(names), 15, names)
        # What several nodes agree on: tests/cluster/run kills there.
        names = [name for name in names if name != "publisher.agreed"]
        for name in (name for name in names if FAILPOINTS in name):
            for count in (1, 2, 6):
                hit = self.round(f"failpoint {name}:{count}", {"CONFD_FAILPOINT_KILL": f"{name}:{count}"}, 1.5 if count > 1 else 10, name.startswith("certificate."))
                self.assertTrue(hit or count > 1, f"the load never came to failpoint {name}")
                if not hit:
                    break

    def test_random_moments(self):
        for number in range(KILLS):
            self.round(f"random kill {number}", None, self.choice.uniform(0.0, 0.5), self.choice.random() < 0.1)
            if (number + 1) % 50 == 0:
                print(f"  {number + 1} kills, {self.jobs} jobs", file=sys.stderr, flush=True)
        # At the end all ids there ever were are asked for once more.
        self.node.start()
        call = Caller(self.node)
        for job_id in self.ledger.records:
            compare_sights(self.ledger.records[job_id], call("job_info", job_id))
        self.assertEqual(self.node.stop(), 0)


if __name__ == "__main__":
    for option in ("--random", "--seed", "--failpoint"):
        if option in sys.argv:
            at = sys.argv.index(option)
            value = sys.argv[at + 1]
            del sys.argv[at:at + 2]
            if option == "--random":
                KILLS = int(value)
            elif option == "--seed":
                SEED = int(value)
            else:
                FAILPOINTS = value
    unittest.main()
