"""A load that checks itself: each chain changes one user again and again, every value computed from the two before.

Each call is recorded as ok, failed or unknown (no answer, or one that says so). What became of an unknown one is looked up after a later
change was committed: it is decided then.
"""
import dataclasses
import hashlib
import http.client
import threading
import time
import xmlrpc.client

from node import UNVERIFIED

PATIENCE = 12  # seconds for an answer; a commit waits at most five for nodes that live and do not follow
SETTLE = 90


class Quick(xmlrpc.client.SafeTransport):
    def request(self, host, handler, request_body, verbose=False):
        # Python's own sends the call once more when the connection ends without an answer: it may be carried out twice.
        return self.single_request(host, handler, request_body, verbose)

    def make_connection(self, host):
        connection = super().make_connection(host)
        connection.timeout = PATIENCE
        return connection


def call(node, name, params):
    transport = Quick(context=UNVERIFIED)
    proxy = xmlrpc.client.ServerProxy(node.url("/RPC2"), transport=transport, allow_none=True)
    try:
        return proxy.job_exec(name, {"params": params})
    finally:
        transport.close()


@dataclasses.dataclass
class Call:
    began: float
    ended: float
    node: int
    value: str
    outcome: str  # ok, failed, unknown, there already
    revision: int = 0
    job: str = ""
    why: str = ""


def next_value(chain):
    return hashlib.sha256(f"{chain[-2]} {chain[-1]}".encode()).hexdigest()[:32]


class Chain:
    """One user's values; `step()` makes the next change. One thread at a time."""

    def __init__(self, cluster, user, pause):
        self.cluster, self.user, self.pause = cluster, user, pause  # seconds before all nodes are tried again
        self.calls = []
        self.values = [f"{user} one", f"{user} two"]
        self.problems = []
        self.preferred = None  # the node that did the last one
        self.avoids = set()    # nodes that it does not ask

    def create(self, number):
        self.cluster.committed("user_create", {"username": self.user, "userid": number, "group": "exausers", "login_enabled": False, "password": "Secret-1"})
        self.cluster.committed("user_modify", {"username": self.user, "authorized_keys": [self.values[-1]]})

    def candidates(self):
        running = [node_id for node_id in self.cluster.running() if node_id not in self.avoids]
        return sorted(running, key=lambda node_id: node_id != self.preferred)

    def step(self, stopping=None):
        """Tries the next value at all nodes, once each; True: it is committed."""
        value = next_value(self.values)
        outcome = self.change(value)
        if outcome == "unknown":
            found = self.in_force(stopping)
            if found is None:
                return False
            outcome = "ok" if found == value else "failed"
            self.calls[-1].why += f"; found out later: {outcome}"
        if outcome == "there already":
            self.problems.append(f"{value} of {self.user} was in force although each call with it had failed: {self.calls[-6:]}")
            outcome = "ok"
        if outcome == "ok":
            self.values.append(value)
        return outcome == "ok"

    def change(self, value):
        for node_id in self.candidates():
            outcome = self.try_at(node_id, value)
            if outcome in ("ok", "unknown", "there already"):
                self.preferred = node_id
                return outcome
        self.preferred = None
        time.sleep(self.pause)
        return "failed"

    def try_at(self, node_id, value):
        """ok, failed, unknown, there already, or "not taken": another node is asked."""
        began = time.monotonic()

        def record(outcome, **more):
            self.calls.append(Call(began, time.monotonic(), node_id, value, outcome, **more))
            return outcome
        try:
            answer = call(self.cluster.nodes[node_id], "user_modify", {"username": self.user, "authorized_keys": [value]})
        except xmlrpc.client.ProtocolError as problem:
            if problem.errcode in (302, 503):
                return "not taken"
            return record("unknown", why=f"HTTP {problem.errcode}")
        except ConnectionRefusedError:
            return "not taken"
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as problem:
            return record("unknown", why=repr(problem))
        job = answer.get("result_jobid", "")
        if answer["result_code"] == 0:
            if "result_revision" not in answer:  # nothing had to be changed
                return record("there already", job=job)
            return record("ok", job=job, revision=answer["result_revision"])
        why = f"{answer['result_name']}: {answer['result_desc']}"
        unclear = answer["result_name"] in ("UnknownOutcome", "Interrupted", "Timeout")
        return record("unknown" if unclear else "failed", job=job, why=why)

    def in_force(self, stopping):
        """The value in force after another change of this chain's marker was committed; None: there was none in time."""
        until = time.monotonic() + SETTLE
        while time.monotonic() < until and not (stopping and stopping.is_set() and time.monotonic() > until - SETTLE / 2):
            for node_id in self.cluster.running():
                node = self.cluster.nodes[node_id]
                try:
                    marker = call(node, "user_modify", {"username": "marker", "authorized_keys": [f"{self.user} {time.monotonic_ns()}"]})
                    if marker["result_code"] == 0:
                        info = call(node, "user_info", {"username": self.user})
                        if info["result_code"] == 0:
                            return info["result_output"]["authorized_keys"][0]
                except (OSError, http.client.HTTPException, xmlrpc.client.Error):
                    pass
            time.sleep(0.05)
        self.problems.append(f"no change was committed within {SETTLE} s after an unknown answer: {self.calls[-1]}")
        return None


class Load:
    """Several chains, one thread each, with a pause after each change."""

    def __init__(self, cluster, chains=3, pause=0.02):
        self.pause = pause
        self.stopping = threading.Event()
        self.chains = [Chain(cluster, f"load{number}", 0.2) for number in range(chains)]
        self.probe = Chain(cluster, "probe", 0.02)  # for whoever waits until changes are committed again
        self.threads = [threading.Thread(target=self.run, args=(chain,), daemon=True) for chain in self.chains]

    def everything(self):
        return [*self.chains, self.probe]

    def run(self, chain):
        while not self.stopping.is_set():
            try:
                chain.step(self.stopping)
            except Exception as problem:  # a thread that ends by itself would be a load that is not there
                chain.problems.append(f"the load of {chain.user} ended: {problem!r}")
                raise
            time.sleep(self.pause)

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(SETTLE + 30)

    def until_committed(self, seconds, avoids=()):
        """Seconds until a change that begins now was committed, not asked of a node that would let it wait; None: not in this time."""
        began = time.monotonic()
        self.probe.avoids = set(avoids)
        while time.monotonic() - began < seconds:
            if self.probe.step():
                return time.monotonic() - began
        return None
