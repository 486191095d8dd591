"""What must hold after any faults. A Witness looks on meanwhile: at the store's history and the files of all nodes."""
import base64
import calendar
import contextlib
import json
import os
import pathlib
import re
import subprocess
import threading
import time

DAY = 86400  # clocks of daemons are set ahead and back by whole days
REVISION = re.compile(r"^\s*Revision = (\d+)", re.M)
CHECKSUM = re.compile(r"^\s*Checksum = (\S+)", re.M)


class Witness(threading.Thread):
    def __init__(self, cluster, users):
        super().__init__(daemon=True)
        self.cluster, self.users = cluster, users
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.history = {}  # revision: (checksum, when put in the store's own counting)
        self.texts = {}    # revision: {checksum: {user: value}}
        self.newest = {}   # node: revision
        self.problems = []

    def run(self):
        next_store = 0
        while not self.stopping.wait(0.25):
            self.look_at_files()
            if time.monotonic() >= next_store:
                with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
                    self.look_at_store()
                next_store = time.monotonic() + 3

    def look_at_files(self, all_of_them=False):
        for node in self.cluster.nodes.values():
            folder = node.path("etc")
            for path in [folder / "EXAConf", *folder.glob("EXAConf.[0-9]")] if all_of_them else [folder / "EXAConf"]:
                with contextlib.suppress(FileNotFoundError):
                    revision = self.text(path.read_text(), path)
                    if path.name == "EXAConf":
                        if revision < self.newest.get(node.node_id, 0):
                            self.problems.append(f"node {node.node_id} went back from revision {self.newest[node.node_id]} to {revision}")
                        self.newest[node.node_id] = revision

    def text(self, text, path):
        revision, checksum = REVISION.search(text), CHECKSUM.search(text)
        if not revision or not checksum:
            self.problems.append(f"{path} is no whole EXAConf: {text[:200]!r}")
            return 0
        with self.lock:
            known = self.texts.setdefault(int(revision.group(1)), {})
            if checksum.group(1) not in known and checksum.group(1) not in ("COMMIT", "NONE"):
                known[checksum.group(1)] = {user: value_in(text, user) for user in self.users}
        return int(revision.group(1))

    def look_at_store(self):
        newest = max(self.history, default=0)
        found = etcdctl(self.cluster, "get", f"/confd/history/{max(0, newest - 200):012}", "/confd/history0")
        for entry in found.get("kvs", []):
            revision = int(base64.b64decode(entry["key"]).decode().rsplit("/", 1)[1])
            what = base64.b64decode(entry["value"]).decode(), entry["mod_revision"]
            if entry["create_revision"] != entry["mod_revision"]:
                self.problems.append(f"revision {revision} was written twice in the store")
            before = self.history.setdefault(revision, what)
            if before != what:
                self.problems.append(f"revision {revision} stands for two puts in the store: {before} and {what}")


def etcdctl(cluster, *arguments):
    certificate, key, authority = cluster.etcd.files
    endpoints = ",".join(f"https://{member.address}:{member.port}" for member in cluster.members.values())
    done = subprocess.run(["etcdctl", "--endpoints", endpoints, "--cacert", authority, "--cert", certificate, "--key", key, "--command-timeout", "5s",
                           *arguments, "-w", "json"], capture_output=True, text=True, timeout=30, env=dict(os.environ, ETCDCTL_API="3"), check=True)
    return json.loads(done.stdout)


def value_in(text, user):
    section = re.search(rf"^\s*\[\[{user}\]\]\n((?:(?!\s*\[).*\n)*)", text, re.M)
    value = section and re.search(r"^\s*AuthorizedKeys = (.*)$", section.group(1), re.M)
    return value.group(1).strip().strip('"') if value else None


def check(cluster, load, witness, kills):
    """All violations. `kills`: (node, wall time) of each SIGKILL and stop of a daemon."""
    problems = [problem for chain in load.everything() for problem in chain.problems] + witness.problems
    try:
        cluster.master(30)
        cluster.equal(30)
    except AssertionError as problem:
        return problems + [str(problem)]
    try:
        witness.look_at_store()
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        problems.append(f"the store's history can't be read at the end: {problem}")
    witness.look_at_files(all_of_them=True)
    problems += check_revisions(load, witness) + check_terms(cluster, kills) + check_jobs(cluster, load)
    return problems


def check_revisions(load, witness):
    problems = []
    history, texts = witness.history, witness.texts
    order = [history[revision][1] for revision in sorted(history)]
    if order != sorted(order):
        problems.append("revisions in the store are not in the order of their numbers")
    for revision, found in texts.items():
        if len(found) > 1:
            problems.append(f"revision {revision} has {len(found)} texts: {sorted(found)}")
        if revision in history and set(found) != {history[revision][0]}:
            problems.append(f"revision {revision} has the checksum {sorted(found)} on a node and {history[revision][0]} in the store")
        if revision not in history and revision > 2:
            problems.append(f"revision {revision} was on a node and never in the store")
    acknowledged = sorted((call for chain in load.everything() for call in chain.calls if call.outcome == "ok"), key=lambda call: call.began)
    by_revision = {}
    for call in acknowledged:
        if by_revision.setdefault(call.revision, call) is not call:
            problems.append(f"revision {call.revision} was acknowledged twice: {by_revision[call.revision]} and {call}")
    # What was acknowledged before a call began has a lower revision.
    ended = sorted(acknowledged, key=lambda call: call.ended)
    highest, at = 0, 0
    for call in acknowledged:
        while at < len(ended) and ended[at].ended < call.began:
            highest = max(highest, ended[at].revision)
            at += 1
        if call.revision <= highest:
            problems.append(f"revision {call.revision} was acknowledged by a call that began after {highest} was: {call}")
    newest = max(texts)
    for chain in load.everything():
        places = {value: number for number, value in enumerate(chain.values)}
        known = sorted((call.revision, places[call.value]) for call in chain.calls if call.outcome == "ok")
        for revision, found in texts.items():
            for values in found.values():
                value = values.get(chain.user)
                if value is None:
                    continue
                place = places.get(value)
                if place is None:
                    if revision != newest or value != unfinished(chain):
                        problems.append(f"revision {revision} has a value of {chain.user} that no call acknowledged: {value}")
                    continue
                least = max((p for r, p in known if r <= revision), default=0)
                most = min((p for r, p in known if r > revision), default=len(chain.values))
                if not least <= place < most:
                    problems.append(f"revision {revision} has value number {place} of {chain.user}, not one of {least} to {most - 1}")
        final = next(iter(texts[newest].values())).get(chain.user)
        if final != chain.values[-1] and final != unfinished(chain):
            problems.append(f"the last acknowledged value of {chain.user} is not in force: {final} instead of {chain.values[-1]}")
    return problems


def unfinished(chain):
    """The value of a last call whose outcome nobody found out."""
    last = chain.calls[-1] if chain.calls else None
    return last.value if last and last.outcome == "unknown" and "found out" not in last.why else None


LINE = re.compile(r"^(\S+)Z (\S+) +(.*)$")
BEGINS = re.compile(r"node \d+ is master now \(term (\d+)\)")
ENDS = re.compile(r"node \d+ is not master any more \(term (\d+), acted as one until (\d+) ms ago\)")


def wall(stamp, first):
    """Seconds of a log's time, on the clock of this test: a daemon's may be days off."""
    whole, _, fraction = stamp.partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + fraction)
    return (seconds - first) % DAY + first


def terms(cluster, kills, first):
    """[(from, until, node, term)] by the logs."""
    found = []
    for node_id, node in cluster.nodes.items():
        lines = []
        for path in pathlib.Path(node.path("logs/logd")).glob("ConfD*.log"):
            lines += [match.groups() for match in map(LINE.match, path.read_text().splitlines()) if match and " master " in match.group(3)]
        begun, ended = {}, {}
        for stamp, _, text in lines:
            at = wall(stamp, first)
            if match := BEGINS.match(text):
                begun[int(match.group(1))] = at
            elif match := ENDS.match(text):
                ended[int(match.group(1))] = at - int(match.group(2)) / 1000
        for term, at in begun.items():
            until = [killed for victim, killed in kills if victim == node_id and killed > at]
            found.append((at, min([ended.get(term, float("inf")), *until]), node_id, term))
    return sorted(found)


def check_terms(cluster, kills):
    first = cluster.began - 3600
    problems = []
    timeline = terms(cluster, kills, first)
    if not timeline:
        return ["the logs tell of no master"]
    for before, after in zip(timeline, timeline[1:]):
        # A line is written some microseconds after what it tells.
        if after[0] < before[1] - 0.001:
            problems.append(f"node {before[2]} acted as master (term {before[3]}) until {before[1]:.3f}, node {after[2]} (term {after[3]}) from {after[0]:.3f} on")
        if before[3] >= after[3]:
            problems.append(f"term {after[3]} of node {after[2]} came after term {before[3]} of node {before[2]}")
    return problems


def check_jobs(cluster, load):
    """Each node in its turn as master: no job between two stages. Then: what acknowledged calls say, the jobs say too."""
    problems = []
    for node_id in cluster.ids:
        master = cluster.master(30)
        if master.node_id != node_id:
            answer = master.job("master_change", {"nids": [node_id]})
            if answer["result_code"] != 0:
                problems.append(f"master_change to node {node_id}: {answer}")
                continue
            try:
                cluster.is_master_now(node_id, 15)
            except AssertionError as problem:
                problems.append(f"master_change: {problem}")
                continue
        node = cluster.nodes[node_id]
        between = [row for state in ("submitted", "scheduled", "running", "executed", "finished")
                   for row in node.rpc("/RPC2").job_history({"state": state, "limit": 20}) if "ended" not in row]
        if between:
            problems.append(f"jobs between two stages on node {node_id}: {between}")
    return problems


def check_left(cluster, processes):
    """After the end: no process, no temporary file."""
    problems = []
    for node_id, node in cluster.nodes.items():
        for path in pathlib.Path(node.root).rglob("*"):
            if path.name.startswith(".") or path.name == "confd.sock":  # what is replaced is made as .name first
                problems.append(f"left on node {node_id}: {path.relative_to(node.root)}")
    return problems + [f"left running: {process}" for process in processes]
