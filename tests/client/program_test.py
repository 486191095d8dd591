"""confd_client as a program, against a confd of our own on a local socket: exit codes, streams, all commands, completion."""
import http.server
import json
import os
import pty
import select
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
SOURCE = os.path.abspath(sys.argv.pop(1))

DESC = ["Starts a database", {"db_name": {"desc": "name", "type": "(<class 'str'>,)"}},
        {"timeout": {"desc": "seconds", "type": "(<class 'int'>,)"}, "force": {"desc": "", "type": "(<class 'bool'>,)"},
         "mode": {"desc": "", "type": "(<class 'str'>,)"}, "username": {"desc": "", "type": "(<class 'str'>,)"}},
        None, ["root"], ["exaadm"], [{}], "modify", "nothing", {"db_name": "database", "username": "user"},
        {"mode": ["blocking", "nonblocking"]}, None]


def ok(output=None):
    envelope = {"result_code": 0, "result_name": "OK", "result_desc": "Success", "result_jobid": "11.5"}
    if output is not None:
        envelope["result_output"] = output
    return envelope


def failed(code, name, desc):
    return {"result_code": code, "result_name": name, "result_desc": desc, "result_jobid": "11.5"}


class FakeConfd(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path):
        self.requests = []
        self.outputs = {"db_list": ["DB1", "DB2"], "db_state": "running", "user_list": [{"username": "root"}, {"username": "ann"}],
                        "node_list": {"n11": {"id": "11"}}, "node_state": {"11": "online"}, "db_info": {"state": "setup", "nodes": {"active": ["n11"]}},
                        "number": 5}
        self.waits = 0
        super().__init__(path, Handler)

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the test

    def answer(self, message):
        method, job, params = message["method"], message.get("job"), message.get("params", {})
        if method in ("job_exec", "job_start") and job == "broken":
            return failed(1, "JobError", "Only one cert in the give cert.")
        if method in ("job_exec", "job_start") and job == "bucketfs":
            return failed(4, "UnknownJob", "Job does not exist: 'bucketfs'")
        if method == "job_exec":
            if job == "hang":
                time.sleep(20)
            return ok(params["params"] if job == "echo" else self.outputs.get(job))
        if method == "job_start":
            return "11.5"
        if method == "job_wait":
            self.waits += 1
            if self.waits < 3:
                time.sleep(0.2)
            return self.waits >= 3
        if method == "job_result":
            return ok(["done"]) if params["job_id"] == "11.5" else failed(20, "UnknownJobId", "no job " + params["job_id"])
        if method == "job_info":
            return {"job_id": params["job_id"], "job": "db_start", "stage": "scheduled", "progress": {"text": "copying", "percent": 37}}
        if method == "job_stop":
            return ok()
        if method == "job_list":
            return ["db_info", "db_list", "db_start"]
        if method == "job_help":
            return "Description: 'x'\nMandatory parameters:" if params["name"] == "db_start" else f"Job does not exist: '{params['name']}'"
        if method == "job_desc":
            return [True, DESC] if params["name"] == "db_start" else [False, f"Job does not exist: '{params['name']}'"]
        if method == "job_args":
            return [{"name": "db_name", "mandatory": True}]
        if method == "job_history":
            return [{"job_id": "11.5", "job": "db_start", "user": "root", "stage": "committed", "submitted": "2026-11-22T01:00:00.000000Z"}]
        return {"error": {"code": -32601, "message": "no method " + method}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "local"

    def log_message(self, *args):
        pass

    def reply(self, status, body, headers=()):
        data = body.encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply(200, "10.0.0.11\n" if self.path == "/master" else "")

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, message, self.headers.get("X-Confd-User")))
        special = message.get("job")
        if special == "elsewhere":
            return self.reply(302, "", [("Location", "https://10.0.0.12:443/jrpc")])
        if special == "denied":
            return self.reply(401, "user nobody is no user of EXAConf")
        if special == "fault":
            return self.reply(400, '{"error": {"code": -32602, "message": "wants a struct"}}')
        if special == "garbage":
            return self.reply(200, "<html>")
        if special == "cut":
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        self.reply(200, json.dumps(self.server.answer(message)))
        return None


class Program(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="confd_client.")
        self.addCleanup(shutil.rmtree, self.root)
        os.mkdir(self.root + "/run")
        self.server = FakeConfd(self.root + "/run/confd.sock")
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.environment = {"CONFD_ROOT": self.root, "PATH": os.environ["PATH"]}

    def run_client(self, *arguments, stdin="", **environment):
        run = subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, text=True, timeout=20, check=False,
                             env={**self.environment, **environment})
        return run.returncode, run.stdout, run.stderr

    def sent(self):
        return self.server.requests[-1][1]

    def test_nothing_prints_the_whole_help(self):
        code, out, err = self.run_client()
        self.assertEqual((code, err), (0, ""))
        self.assertTrue(out.startswith("usage: confd_client [-h] [-c COMMAND] [--completion] [-a PARAMS]"))
        self.assertIn("examples:", out)
        self.assertEqual(self.run_client("-h")[:2], (0, out))

    def test_output_formats(self):
        self.assertEqual(self.run_client("db_list"), (0, "- DB1\n- DB2\n", ""))
        self.assertEqual(self.run_client("-c", "db_list", "-j"), (0, '[\n  "DB1",\n  "DB2"\n]\n', ""))
        self.assertEqual(self.run_client("db_list", "-P"), (0, "['DB1', 'DB2']\n", ""))
        self.assertEqual(self.run_client("db_info", "--flat", "db_name:", "DB1"), (0, "state: setup\nnodes.active.0: n11\n", ""))
        self.assertEqual(self.run_client("db_state", "db_name:", "DB1"), (0, "running\n...\n", ""))
        self.assertEqual(self.run_client("db_state", "-j", "db_name:", "DB1"), (0, '"running"\n', ""))

    def test_no_output_prints_ok(self):
        self.assertEqual(self.run_client("db_stop", "db_name:", "X"), (0, "OK\n", ""))
        self.assertEqual(self.run_client("db_stop", "-j", "db_name:", "X"), (0, '"OK"\n', ""))

    def test_the_request_carries_parameters_and_switches(self):
        self.run_client("db_start", "-j", "db_name:", "Exasol", "timeout:", "30", "-d", "-J", "-u", "ann")
        path, message, user = self.server.requests[-1]
        self.assertEqual(path, "/jrpc")
        self.assertEqual(message, {"method": "job_exec", "job": "db_start",
                                   "params": {"params": {"db_name": "Exasol", "timeout": 30}, "dry_run": True, "volatile": True}})
        self.assertEqual(user, "ann")
        self.run_client("db_list")
        self.assertEqual(self.server.requests[-1][1]["params"], {"params": {}, "dry_run": False, "volatile": False})
        self.assertIsNone(self.server.requests[-1][2])

    def test_files_and_standard_input_in_parameters(self):
        path = self.root + "/tls.crt"
        with open(path, "w", encoding="utf-8") as file:
            file.write("-----BEGIN: {x}\n\u00e9\n")
        code, out, _ = self.run_client("echo", "-j", "cert:", f'"{{< {path}}}"', "key:", "{<", "-}", stdin="from stdin\n")
        self.assertEqual((code, json.loads(out)), (0, {"cert": "-----BEGIN: {x}\n\u00e9\n", "key": "from stdin\n"}))
        code, out, err = self.run_client("echo", "cert:", "{< /nonexistent/file}")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("/nonexistent/file", err)

    def test_failures(self):
        self.assertEqual(self.run_client("broken"), (1, "", "JobError: Only one cert in the give cert.\n"))
        self.assertEqual(self.run_client("bucketfs"), (1, "", "Job does not exist: 'bucketfs'\n"))
        self.assertEqual(self.run_client("-S", "bucketfs"), (1, "", "Job does not exist: 'bucketfs'\n"))
        code, out, err = self.run_client("denied")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("401", err)
        self.assertIn("user nobody", err)
        self.assertIn("wants a struct", self.run_client("fault")[2])
        self.assertEqual(self.run_client("garbage")[0], 1)

    def test_usage_errors(self):
        for line in (["db_list", "-x"], ["db_list", "-j", "-P"], ["db_info", "MYDB"], ["help"], ["-a", "{a: 1"], ["x", "-A", "{a: 1}"],
                     ["-s", "REF", "-c", "cert_update"], ["history", "--since", "soon"], ["db_list", "--limit", "1"]):
            code, out, err = self.run_client(*line)
            self.assertEqual((code, out), (2, ""), line)
            self.assertTrue(err.startswith("usage: confd_client"), line)
            self.assertIn("confd_client: error: ", err)

    def test_confd_out_of_reach(self):
        code, out, err = self.run_client("--root", "/nonexistent", "db_list")
        self.assertEqual((code, out), (3, ""))
        self.assertIn("/nonexistent/run/confd.sock", err)
        self.assertIn("CONFD_ROOT", err)
        self.assertEqual(self.run_client("db_list", CONFD_ROOT="/nonexistent")[0], 3)
        code, _, err = self.run_client("cut")
        self.assertEqual(code, 3, err)
        self.assertIn("history", err)
        code, _, err = self.run_client("elsewhere")
        self.assertEqual(code, 3)
        self.assertIn("10.0.0.12", err)

    def test_built_in_commands(self):
        self.assertEqual(self.run_client("list"), (0, "- db_info\n- db_list\n- db_start\n", ""))
        self.assertEqual(self.run_client("-c", "help", "-a", "db_start"), (0, "Description: 'x'\nMandatory parameters:\n", ""))
        self.assertEqual(self.run_client("help", "nope"), (1, "", "Job does not exist: 'nope'\n"))
        self.assertEqual(json.loads(self.run_client("desc", "db_start", "-j")[1]), DESC)
        self.assertEqual(self.run_client("desc", "nope"), (1, "", "Job does not exist: 'nope'\n"))
        self.assertEqual(self.run_client("args", "-a", "db_start"), (0, "- mandatory: true\n  name: db_name\n", ""))
        self.assertEqual(self.run_client("result", "-a", "11.5"), (0, "- done\n", ""))
        self.assertEqual(self.sent(), {"method": "job_result", "params": {"job_id": "11.5"}})
        self.assertEqual(self.run_client("result", "11.10"), (1, "", "UnknownJobId: no job 11.10\n"))
        self.assertEqual(self.run_client("stop", "11.5"), (0, "OK\n", ""))
        self.assertEqual(self.run_client("master"), (0, "10.0.0.11\n", ""))
        self.assertEqual(json.loads(self.run_client("info", "-j")[1]),
                         {"master": "10.0.0.11", "nodes": {"n11": {"id": "11"}}, "state": {"11": "online"}})

    def test_start_prints_the_id(self):
        self.assertEqual(self.run_client("-S", "db_start", "db_name:", "X"), (0, "11.5\n", ""))
        self.assertEqual(self.run_client("-S", "-j", "db_start", "db_name:", "X"), (0, '"11.5"\n', ""))

    def test_verbose_shows_envelope_and_record(self):
        code, out, _ = self.run_client("-v", "-j", "db_list")
        shown = json.loads(out)
        self.assertEqual(code, 0)
        self.assertEqual(shown["result_jobid"], "11.5")
        self.assertEqual(shown["result_output"], ["DB1", "DB2"])
        self.assertEqual(shown["job_info"]["stage"], "scheduled")
        code, out, err = self.run_client("-v", "-j", "broken")
        self.assertEqual((code, json.loads(out)["result_code"]), (1, 1))
        self.assertEqual(err, "JobError: Only one cert in the give cert.\n")

    def test_history(self):
        code, out, _ = self.run_client("history", "--state", "failed", "--user", "ann", "--job", "db_start", "--since", "2026-11-20",
                                       "--until", "1h", "--limit", "7", "-j")
        self.assertEqual((code, json.loads(out)[0]["job_id"]), (0, "11.5"))
        params = self.sent()["params"]
        self.assertEqual({k: params[k] for k in ("state", "user", "job", "since", "limit")},
                         {"state": "failed", "user": "ann", "job": "db_start", "since": "2026-11-20 00:00:00", "limit": 7})
        self.assertTrue(self.run_client("history")[1].startswith("- job: db_start\n  job_id: '11.5'\n"))
        self.assertIn("ID    JOB", self.run_on_terminal("history")[1])

    def run_on_terminal(self, *arguments, signal_after=None):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(PROGRAM, [PROGRAM, *arguments], self.environment)
        out = b""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            readable, _, _ = select.select([terminal], [], [], 0.05)
            if readable:
                try:
                    data = os.read(terminal, 65536)
                except OSError:
                    break
                if not data:
                    break
                out += data
            if signal_after and signal_after.encode() in out:
                os.kill(pid, signal.SIGINT)
                signal_after = None
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), out.decode()

    def test_a_long_job_shows_its_progress_on_a_terminal(self):
        code, out = self.run_on_terminal("db_start", "db_name:", "X")
        self.assertEqual(code, 0)
        self.assertIn("db_start 11.5: scheduled, copying (37%)", out)
        self.assertTrue(out.endswith("\r\x1b[K- done\r\n"), repr(out))
        self.assertEqual(self.run_client("db_start", "db_name:", "X")[2], "")

    def test_interrupt_says_that_the_job_goes_on(self):
        self.server.waits = -1000
        code, out = self.run_on_terminal("db_start", "db_name:", "X", signal_after="scheduled")
        self.assertEqual(code, 130)
        self.assertIn("The job goes on as 11.5", out)

    def test_interrupt_without_terminal(self):
        with subprocess.Popen([PROGRAM, "hang"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
            deadline = time.monotonic() + 10
            while not self.server.requests and time.monotonic() < deadline:
                time.sleep(0.01)
            client.send_signal(signal.SIGINT)
            out, err = client.communicate(timeout=10)
        self.assertEqual((client.returncode, out), (130, b""))
        self.assertIn(b"confd_client history", err)

    def complete(self, *words):
        code, out, err = self.run_client("--complete", *words)
        self.assertEqual((code, err), (0, ""))
        return out.split()

    def test_completion_words(self):
        self.assertEqual(self.complete("db_"), ["db_info", "db_list", "db_start"])
        self.assertIn("history", self.complete(""))
        self.assertEqual(self.complete("-c", "db_s"), ["db_start"])
        self.assertEqual(self.complete("--js"), ["--json"])
        self.assertEqual(self.complete("help", "db_l"), ["db_list"])
        self.assertEqual(self.complete("db_start", ""), ["db_name:", "timeout:", "force:", "mode:", "username:"])
        self.assertEqual(self.complete("-j", "db_start", "db_name:", "DB1", "f"), ["force:"])
        self.assertEqual(self.complete("db_start", "db_name:", ""), ["DB1", "DB2"])
        self.assertEqual(self.complete("db_start", "username:", "a"), ["ann"])
        self.assertEqual(self.complete("db_start", "mode:", ""), ["blocking", "nonblocking"])
        self.assertEqual(self.complete("db_start", "force:", ""), ["true", "false"])
        self.assertEqual(self.complete("result", ""), ["11.5"])
        self.assertEqual(self.complete("history", "--state", "fa"), ["failed"])
        self.assertEqual(self.complete("-u", ""), ["root", "ann"])

    def test_completion_without_confd_offers_what_it_knows(self):
        self.environment["CONFD_ROOT"] = "/nonexistent"
        self.assertEqual(self.complete("hi"), ["history"])
        self.assertEqual(self.complete("db_start", ""), [])

    def test_completion_in_bash(self):
        bash = ("eval \"$(confd_client --completion bash)\"\nCOMP_LINE='confd_client db_start db_name: D' COMP_POINT=32\n"
                "_confd_client\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n")
        run = subprocess.run(["bash", "--norc", "-c", bash], capture_output=True, text=True, timeout=20, check=True,
                             env={**self.environment, "PATH": os.path.dirname(PROGRAM) + ":" + os.environ["PATH"]})
        self.assertEqual((run.stdout.split(), run.stderr), (["DB1", "DB2"], ""))

    def test_the_scripts_are_those_of_packaging(self):
        for shell, file in (("bash", "confd_client.bash"), ("zsh", "_confd_client")):
            with open(f"{SOURCE}/packaging/completion/{file}", encoding="utf-8") as script:
                self.assertEqual(self.run_client("--completion", shell), (0, script.read(), ""))
        self.assertIn("#compdef", self.run_client("--completion", SHELL="/usr/bin/zsh")[1])


if __name__ == "__main__":
    unittest.main()
