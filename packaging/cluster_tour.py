#!/usr/bin/env python3
"""Three nodes on this machine, made as an operator would make them, and a tour of them with a kill of the master.
For packaging/quickstart --nodes 3 (and tests/project/cluster_quickstart_test.py).
usage: cluster_tour.py tour|stop BINARIES FOLDER
"""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import shlex
import signal
import ssl
import subprocess
import sys
import time

NODES = (11, 12, 13)
PORT, STORE_PORT = 20003, 2379
UNVERIFIED = ssl._create_unverified_context()


class Trouble(Exception):
    pass


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            result = condition()
            if result:
                return result
        if time.monotonic() > deadline:
            raise Trouble(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


def is_gone(pid):
    """A process of which only the entry is left, until its parent asks, is gone as well."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def https(node, method, path, body=None, headers=(), port=PORT, context=UNVERIFIED, timeout=5):
    connection = http.client.HTTPSConnection(f"127.0.0.{node}", port, context=context, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


class Demo:
    def __init__(self, binaries, folder):
        self.binaries = pathlib.Path(binaries)
        self.folder = pathlib.Path(folder)
        self.top = os.getcwd()

    def root(self, node):
        return self.folder / f"n{node}"

    def shown(self, path):
        return os.path.relpath(path, self.top) if str(path).startswith(self.top) else str(path)

    # -- processes
    def pid(self, node):
        """Of a confd that serves our root, and of nothing else."""
        try:
            pid = int((self.root(node) / "run/confd.pid").read_text())
            program = os.readlink(f"/proc/{pid}/exe")
            arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        ours = program.removesuffix(" (deleted)") == str(self.binaries / "confd") and str(self.root(node)).encode() in arguments
        return pid if ours else None

    def store_pid(self, node):
        """Of the etcd that a killed confd left running."""
        try:
            pid = int((self.root(node) / "run/etcd.pid").read_text().split()[0])
            arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return None
        return pid if str(self.root(node) / "data/etcd").encode() in arguments else None

    def end(self, pid):
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: is_gone(pid), 40, f"the end of process {pid}")

    def stop(self):
        pids = {node: pid for node in NODES if (pid := self.pid(node))}
        for pid in pids.values():
            os.kill(pid, signal.SIGTERM)
        for node, pid in pids.items():
            wait_for(lambda pid=pid: is_gone(pid), 60, f"the end of node {node} (process {pid})")
        for node in NODES:
            if pid := self.store_pid(node):
                self.end(pid)
        return bool(pids)

    def start(self, node, quiet=False):
        if not quiet:
            print(f"$ confd --root {self.shown(self.root(node))} &", flush=True)
        with open(self.root(node) / "logs/confd.out", "ab") as output:
            process = subprocess.Popen([self.binaries / "confd", "--root", self.root(node)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       start_new_session=True)

        def serves():
            if process.poll() is not None:
                raise Trouble(f"node {node} did not start: " + (self.root(node) / "logs/confd.out").read_text()[-1000:])
            return https(node, "GET", "/is_master")[0] == 200 and self.pid(node) == process.pid
        try:
            wait_for(serves, 30, f"node {node} serving")
        except Trouble:
            process.terminate()  # it has no pid file by which `stop` would find it
            raise

    def run(self, program, *arguments, show=True, output_to=None, text_in=None):
        words = [self.shown(word) if str(word).startswith(str(self.folder)) else str(word) for word in arguments]
        if show:
            typed = " ".join(f'"{word}"' if "'" in word else shlex.quote(word) for word in words)
            print(f"$ {program} {typed}" + (f" > {self.shown(output_to)}" if output_to else ""))
        sys.stdout.flush()
        done = subprocess.run([self.binaries / program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, input=text_in)
        if done.returncode != 0:
            raise Trouble(f"{program} {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def client(self, node, *arguments, **options):
        return self.run("confd_client", "--root", self.root(node), *arguments, **options)

    # -- the cluster
    def login(self):
        password = (self.root(11) / "etc/admin.password").read_text().strip()
        return {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode(), "Content-Type": "application/json"}

    def master(self, nodes=NODES):
        """The one that says so itself."""
        for node in nodes:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if https(node, "GET", "/is_master", timeout=1)[2] == "true":
                    return node
        return None

    def change(self, nodes, name, params):
        """A modify job on whoever is master; None when nobody is, or the answer is not `committed`."""
        master = self.master(nodes)
        if master is None:
            return None
        body = json.dumps({"jsonrpc": "2.0", "method": "job_exec", "params": [name, {"params": params}], "id": 1})
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            status, _, text = https(master, "POST", "/rest", body, self.login(), timeout=15)
            answer = json.loads(text).get("result") if status == 200 else None
            if isinstance(answer, dict) and answer.get("result_code") == 0:
                return answer
        return None

    def voters(self):
        """Members of the store that vote, asked as a node asks: with its certificate."""
        cluster = self.root(11) / "etc/cluster"
        context = ssl.create_default_context(cafile=cluster / "ca.crt")
        context.check_hostname = False
        context.load_cert_chain(cluster / "node.crt", cluster / "node.key")
        _, _, text = https(11, "POST", "/v3/cluster/member/list", "{}", port=STORE_PORT, context=context)
        return [member["name"] for member in json.loads(text)["members"] if not member.get("isLearner") and member.get("name")]

    def held(self, node):
        """Revision and checksum of the file that the node has."""
        values = {}
        for line in (self.root(node) / "etc/EXAConf").read_text().splitlines():
            key, _, value = line.strip().partition(" = ")
            if key in ("Revision", "Checksum"):
                values.setdefault(key, value)
        return values["Revision"], values["Checksum"]

    def equal(self):
        held = {self.held(node) for node in NODES}
        return held.pop() if len(held) == 1 else None


def step(text):
    print(f"\n== {text}")


def make(demo):
    first = demo.root(11)
    step("1. The first node of a cluster: its store is an etcd of confd's own")
    demo.folder.mkdir(parents=True, exist_ok=True)
    print(demo.run("confd", "--root", first, "--init", "--store", "managed").split("\n")[0])
    demo.start(11)
    wait_for(lambda: demo.master() == 11, 60, "node 11 becoming master")
    step("2. Two more: added to EXAConf, then joined with a token each")
    for node in NODES[1:]:
        demo.client(11, "node_add", "nid:", node, "priv_net:", f"127.0.0.{node}/8", "offline:", "true")
        token = demo.folder / f"n{node}.token"
        text = demo.run("confd", "--root", first, "--make-token", node, "--with-authority", output_to=token)
        with open(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        print(demo.run("confd", "--root", demo.root(node), "--join", f"127.0.0.11:{PORT}", "--token-file", token).split("\n")[0])
        token.unlink()
        demo.start(node)


def tour(demo):
    began = time.monotonic()
    # A program built since then takes the place of the old one.
    if any((pid := demo.pid(node)) and os.readlink(f"/proc/{pid}/exe").endswith("(deleted)") for node in NODES):
        demo.stop()
    if all((demo.root(node) / "etc/EXAConf").exists() for node in NODES):
        step("1, 2. The nodes are there already")
        for node in NODES:
            if not demo.pid(node):
                demo.start(node)
    else:
        if any(demo.root(node).exists() for node in NODES):
            raise Trouble(f"{demo.shown(demo.folder)} holds a cluster that was not made to its end: delete the folder, and run this again")
        make(demo)
    master = wait_for(demo.master, 60, "a master")
    wait_for(lambda: len(demo.voters()) == 3, 90, "the store having three members that vote")
    print(f"The store has three members; the master is node {master}.  ({time.monotonic() - began:.1f} s)")

    step("3. All three hold one configuration")
    # A node that has just been started counts once it holds what is in force.
    wait_for(lambda: "offline" not in demo.client(master, "node_state"), 60, "all three nodes being online")
    print(demo.client(master, "node_state").rstrip())
    number = int(time.time())
    name = f"tour{number}"
    params = {"username": name, "userid": 100_000 + number % 1_000_000_000, "group": "exausers", "login_enabled": False, "password": "*"}
    demo.client(master, "user_create", *[word for key, value in params.items() for word in (f"{key}:", "'*'" if value == "*" else str(value).lower())])
    for node in NODES:
        revision, checksum = demo.held(node)
        has = name in (demo.root(node) / "etc/EXAConf").read_text()
        print(f"   {demo.shown(demo.root(node))}/etc/EXAConf  revision {revision}  {checksum}  {name} {'is there' if has else 'is NOT there'}")
        if not has:
            raise Trouble("committed, but not on all nodes")

    step("4. Each knows who is master")
    for node in NODES:
        wait_for(lambda node=node: https(node, "GET", "/master")[0] == 200, 15, f"node {node} knowing the master")
        print(f"$ curl -k https://127.0.0.{node}:{PORT}/master\n{https(node, 'GET', '/master')[2]}")

    step(f"5. kill -9 of node {master}, the master")
    others = [node for node in NODES if node != master]
    timeline = []
    pid = demo.pid(master)
    print(f"$ kill -9 {pid}")
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)

    def note(text):
        timeline.append((time.monotonic() - killed, text))
    note(f"node {master} is killed")
    successor = wait_for(lambda: demo.master(others), 60, "another master")
    note(f"node {successor} is master")
    after = dict(params, username=name + "b", userid=params["userid"] + 1)
    answer = wait_for(lambda: demo.change(others, "user_create", after), 60, "the next change")
    note(f"the next change is committed, as revision {answer['result_revision']}")
    downtime = timeline[-1][0]
    wait_for(lambda: is_gone(pid), 10, "the end of the killed process")
    note(f"node {master} is started again")
    demo.start(master, quiet=True)
    note(f"node {master} serves")
    wait_for(demo.equal, 30, "the node catching up")
    note(f"node {master} holds revision {demo.held(master)[0]}, as all do")
    for when, text in timeline:
        print(f"   {when:7.2f} s  {text}")
    if name + "b" not in (demo.root(master) / "etc/EXAConf").read_text():
        raise Trouble("the change made meanwhile is not there")
    print(f"Without a master that takes changes: {downtime:.2f} s. Nothing that was committed is lost.")
    for one in (name, name + "b"):
        wait_for(lambda one=one: demo.change(NODES, "user_delete", {"username": one}), 30, "tidying up")

    master = wait_for(demo.master, 30, "a master")
    root = demo.shown(demo.root(master))
    step("6. How to go on")
    print(f"""The nodes go on running (processes {', '.join(str(demo.pid(node)) for node in NODES)}); the master is node {master}. User admin, password in {demo.shown(demo.root(11))}/etc/admin.password
  export PATH={demo.shown(demo.binaries)}:$PATH
  confd_client --root {root} node_list           the nodes
  confd_client --root {root} master_change       another master
  less {root}/logs/logd/ConfD.log                who was master when, and why
  docs/operations.md                             add, remove, replace a node; rotate certificates; recover
Stop them:  packaging/quickstart stop      Begin anew:  and then  rm -r {demo.shown(demo.folder)}""")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("tour", "stop"):
        print(__doc__, file=sys.stderr)
        return 2
    demo = Demo(os.path.realpath(sys.argv[2]), os.path.realpath(sys.argv[3]))
    try:
        if sys.argv[1] == "stop":
            if demo.stop():
                print(f"The three nodes have stopped. Their files are in {demo.shown(demo.folder)}; packaging/quickstart --nodes 3 starts them again.")
        else:
            tour(demo)
    except Trouble as trouble:
        print(f"cluster_tour.py: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
