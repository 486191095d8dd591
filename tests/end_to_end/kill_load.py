"""Clients that load a confd node until it is killed, and the ledger of what they were told (for kill_test.py)."""
import http.client
import random
import threading
import xmlrpc.client

from node import UNVERIFIED

STAGES = ["submitted", "scheduled", "executed", "finished", "committed"]
GONE = (OSError, http.client.HTTPException, EOFError)
MOST_JOBS = 250  # ids a round after which no more reads are started: they would only make the check longer


class Caller:
    """XML-RPC over one connection; nothing is ever sent twice (xmlrpc.client does, after a reset)."""

    def __init__(self, node):
        self.connection = http.client.HTTPSConnection(node.address, node.port, context=UNVERIFIED, timeout=30)
        self.headers = {"Authorization": node.basic(), "Content-Type": "text/xml"}

    def __call__(self, method, *arguments):
        body = xmlrpc.client.dumps(arguments, method, allow_none=True)
        self.connection.request("POST", "/RPC2", body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise AssertionError(f"{method}: HTTP {answer.status} {text[:200]}")
        return xmlrpc.client.loads(text)[0][0]


class Ledger:
    """What the outside knows: answers it was given, records it has read, revisions it has seen. Loads of
    several threads write into it; only add_*() take the lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.number = 0
        self.ids = {}        # id -> (job, thing) as sent, or as found in the history
        self.fresh = set()   # ids of this round
        self.answers = {}    # id -> envelope of a job that has ended, as first given
        self.seen = {}       # id -> record as last seen before the kill
        self.records = {}    # id -> record after the end
        self.things = {}     # (job, thing) -> id: each is asked for once, so it may run once
        self.highest = 0     # job number of former rounds
        self.texts = {}      # revision -> text of EXAConf
        self.checksums = {}  # revision -> checksum, from files and from records
        self.revision = 0    # of the last committed job
        self.users, self.groups, self.keys = set(), set(), {}  # as committed jobs make them
        self.old_users, self.old_groups = [], []  # made in former rounds: may be deleted

    def next_number(self):
        with self.lock:
            self.number += 1
            return self.number

    def add_id(self, job_id, job, thing):
        with self.lock:
            if job_id in self.ids:
                raise AssertionError(f"P1: id {job_id} was given to {self.ids[job_id]} and now to {(job, thing)}")
            self.ids[job_id] = (job, thing)
            self.fresh.add(job_id)

    def add_answer(self, job_id, envelope):
        if envelope["result_code"] == 5:
            return
        with self.lock:
            first = self.answers.setdefault(job_id, envelope)
        if first != envelope:
            raise AssertionError(f"P2: the result of {job_id} was {first} and is now {envelope}")

    def add_seen(self, record):
        with self.lock:
            before = self.seen.get(record["job_id"])
            self.seen[record["job_id"]] = record
        if before:
            compare_sights(before, record)


def compare_sights(before, after):
    """Stages only move forward, and what has a time keeps it."""
    job_id = after["job_id"]
    if STAGES.index(after["stage"]) < STAGES.index(before["stage"]):
        raise AssertionError(f"P2: job {job_id} went back from {before['stage']} to {after['stage']}")
    for stage, when in before["times"].items():
        if after["times"].get(stage) != when:
            raise AssertionError(f"P2: job {job_id} was {stage} at {when} and now at {after['times'].get(stage)}")
    if before["ended"] and before["result"] != after["result"]:
        raise AssertionError(f"P2: the result of {job_id} was {before['result']} and is now {after['result']}")


def thing_of(job, params):
    """What the load asks for once only; None for jobs that may be asked for again after an interruption."""
    if job == "user_modify":
        return params["authorized_keys"][0]
    return params["username"] if job == "user_create" else params["groupname"] if job == "group_create" else None


class Load:
    """Clients that work until the daemon dies or stop() is called. Errors of the promises are raised by finish()."""

    def __init__(self, node, ledger, seed, with_certificates):
        self.node, self.ledger = node, ledger
        self.stopping = threading.Event()
        self.problems = []
        self.recent = []
        self.deletable_users, self.deletable_groups = ledger.old_users[:-40], ledger.old_groups[:-40]
        work = [self.modify_and_wait, self.modify_and_wait, self.create_users, self.create_groups, self.burst, self.look]
        if with_certificates:
            work.append(self.certificates)
        self.threads = [threading.Thread(target=self.run, args=(task, i, random.Random(f"{seed}/{i}")), daemon=True) for i, task in enumerate(work)]
        for thread in self.threads:
            thread.start()

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                raise AssertionError("P8: a client still waits for an answer of a daemon that is dead")
        if self.problems:
            raise self.problems[0]

    def run(self, task, index, choice):
        try:
            call = Caller(self.node)
            while not self.stopping.is_set():
                task(call, f"worker{index}", choice)
        except GONE:
            pass  # killed
        except BaseException as problem:
            self.problems.append(problem)

    def start(self, call, job, params):
        job_id = call("job_start", job, {"params": params})
        if not isinstance(job_id, str):
            raise AssertionError(f"job_start {job}: {job_id}")
        self.ledger.add_id(job_id, job, thing_of(job, params))
        self.recent.append(job_id)
        return job_id

    def execute(self, call, job, params):
        envelope = call("job_exec", job, {"params": params})
        self.ledger.add_id(envelope["result_jobid"], job, thing_of(job, params))
        self.ledger.add_answer(envelope["result_jobid"], envelope)
        return envelope

    def result(self, call, job_id):
        call("job_wait", job_id, 20)
        envelope = call("job_result", job_id)
        self.ledger.add_answer(job_id, envelope)
        return envelope

    def new_key(self):
        return f"ssh-ed25519 key{self.ledger.next_number()}"

    # -- what the clients do
    def modify_and_wait(self, call, worker, choice):
        self.execute(call, "user_modify", {"username": worker, "authorized_keys": [self.new_key()]})

    def create_users(self, call, worker, choice):
        number = self.ledger.next_number()
        params = {"username": f"u{number}", "userid": 20000 + number, "password": "*", "group": "exausers",
                  "login_enabled": False, "encode_passwd": False}
        if choice.random() < 0.5:
            self.result(call, self.start(call, "user_create", params))
        else:
            self.execute(call, "user_create", params)
        if self.deletable_users:
            self.execute(call, "user_delete", {"username": self.deletable_users.pop()})

    def create_groups(self, call, worker, choice):
        started = []
        for _ in range(choice.randint(1, 6)):
            number = self.ledger.next_number()
            started.append(self.start(call, "group_create", {"groupname": f"g{number}", "groupid": 20000 + number}))
        self.result(call, choice.choice(started))
        if self.deletable_groups:
            self.result(call, self.start(call, "group_delete", {"groupname": self.deletable_groups.pop()}))

    def burst(self, call, worker, choice):
        """Jobs that wait for each other's lock."""
        for _ in range(choice.randint(2, 5)):
            last = self.start(call, "user_modify", {"username": worker, "authorized_keys": [self.new_key()]})
        self.result(call, last)

    def look(self, call, worker, choice):
        if self.recent:
            record = call("job_info", choice.choice(self.recent[-20:]))
            if "job_id" not in record:
                raise AssertionError(f"P1: job_info of an id that was returned: {record}")
            self.ledger.add_seen(record)
        if len(self.ledger.fresh) < MOST_JOBS:
            if choice.random() < 0.7:
                self.execute(call, "node_state", {})
            else:
                self.start(call, "node_list", {})
        for row in call("job_history", {"limit": 3}):
            if row["job_id"] in self.ledger.ids and row["stage"] == "committed" and "result_code" not in row:
                raise AssertionError(f"P2: committed without a result: {row}")

    def certificates(self, call, worker, choice):
        self.execute(call, "cert_update", self.node.new_certificate())
