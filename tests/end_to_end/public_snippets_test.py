#!/usr/bin/env python3
"""The calls that public articles and vendor-owned clients make (spec/rpc.md), word for word where it matters: Python 3, 3.6 and
2.7, curl, both JSON dialects."""
import glob
import gzip
import http.client
import json
import os
import pprint
import shutil
import subprocess
import unittest
import urllib.request
import xmlrpc.client

from node import UNVERIFIED, Node, eventually

PUBLIC_METHODS = {
    "job_desc", "job_exec", "job_finished", "job_help", "job_info", "job_list", "job_result", "job_start", "job_wait", "subscribe",
    "system.listMethods", "system.methodHelp", "system.methodSignature", "unsubscribe", "user_init", "user_login", "user_state"}
OUR_METHODS = {"job_args", "job_history", "job_stop"}

# Runs under every Python there is: the way the official sample goes (start, wait, read the result, dump the descriptions).
OTHER_PYTHONS = """
import json, ssl, sys
try:
    from xmlrpclib import ServerProxy, ProtocolError, Fault
except ImportError:
    from xmlrpc.client import ServerProxy, ProtocolError, Fault
base, wrong = sys.argv[1:3]
context = ssl._create_unverified_context()
for path in ("/", "/RPC2", "/rpc2", "/RPC2/", ""):
    assert "db_list" in ServerProxy(base + path, allow_none=True, context=context).job_list()
server = ServerProxy(base + "/", allow_none=True, context=context)
for job in server.job_list():
    ok, description = server.job_desc(job)
    assert ok is True
    for member in range(0, 7):
        json.dumps(description[member])
job_id = server.job_start("node_list")
assert server.job_wait(job_id, {"timeout": 20}) is True
assert server.job_finished(job_id) is True
result = server.job_result(job_id)
assert result["result_code"] == 0, result
assert result["result_name"] == "OK" and result["result_desc"] == "Success" and result["result_jobid"] == job_id
assert list(result["result_output"]) == ["11"]
assert server.job_info({"job_id": job_id})["job"] == "node_list"
assert server.job_exec("db_list", {"params": {}})["result_code"] == 0
assert server.job_exec("user_info", {"params": {"username": "root", "userid": None}})["result_output"]["id"] == 0
try:
    ServerProxy(wrong, context=context).job_list()
    raise SystemExit("a wrong password was accepted")
except ProtocolError as error:
    assert error.errcode == 401 and error.errmsg == "Unauthorized", error
try:
    server.nope()
    raise SystemExit("a method that is not there was accepted")
except Fault as fault:
    assert fault.faultCode == 1 and 'method "nope" is not supported' in fault.faultString, fault
sys.stdout.write("all well " + job_id)
"""


def other_python(version):
    found = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}")))
    return found[0] if found else shutil.which(f"python{version}")


class WithNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()


class Python3(WithNode):
    def test_every_path_that_clients_use(self):
        for path in ("", "/", "/RPC2", "/rpc2", "/RPC2/", "/Rpc2"):
            with self.subTest(path=path):
                self.assertEqual(self.node.rpc(path).job_exec("db_list")["result_name"], "OK")

    def test_missing_options_empty_options_and_empty_params_are_equal(self):
        rpc = self.node.rpc()
        outputs = [rpc.job_exec("db_list", *options)["result_output"] for options in ([], [{}], [{"params": {}}], [None], [{"params": None}])]
        self.assertEqual(outputs, [outputs[0]] * 5)

    def test_an_envelope_has_the_members_of_the_articles_and_no_others(self):
        rpc = self.node.rpc()
        self.assertEqual(set(rpc.job_exec("node_state")), {"result_code", "result_name", "result_desc", "result_jobid", "result_output"})
        created = rpc.job_exec("group_create", {"params": {"groupname": "readers", "groupid": 4200}})
        self.assertEqual(set(created), {"result_code", "result_name", "result_desc", "result_jobid", "result_revision"})
        self.assertEqual(created["result_revision"], self.node.revision())
        failed = rpc.job_exec("group_create", {"params": {"groupname": "readers", "groupid": 4200}})
        self.assertEqual(set(failed), {"result_code", "result_name", "result_desc", "result_jobid"})
        self.assertNotEqual(failed["result_code"], 0)

    def test_ids_may_be_given_bare_or_in_a_struct(self):
        rpc = self.node.rpc()
        job_id = rpc.job_start("db_list", {})
        self.assertIs(rpc.job_wait({"job_id": job_id}, {"timeout": 20}), True)
        self.assertIs(rpc.job_wait({"job_id": job_id, "timeout": 20}), True)
        for given in (job_id, {"job_id": job_id}):
            self.assertIs(rpc.job_finished(given), True)
            self.assertEqual(rpc.job_result(given)["result_jobid"], job_id)
            self.assertEqual(rpc.job_info(given)["job_id"], job_id)

    def test_the_methods_are_the_17_public_ones_and_ours_with_a_help_each(self):
        rpc = self.node.rpc()
        methods = rpc.system.listMethods()
        self.assertEqual(methods, sorted(methods))
        self.assertEqual(set(methods), PUBLIC_METHODS | OUR_METHODS)
        for method in methods:
            self.assertGreater(len(rpc.system.methodHelp(method)), 20, method)
            self.assertIn(method + "(", rpc.system.methodSignature(method))
            for argument in rpc.system.methodSignature(method).split("(")[1].rstrip(")").split(", "):
                if argument:
                    self.assertIn("@" + argument.split()[-1].strip("{}"), rpc.system.methodHelp(method), method)
        with self.assertRaises(xmlrpc.client.Fault):
            rpc.system.methodHelp("nope")

    def test_a_call_that_makes_no_sense_is_a_fault(self):
        rpc = self.node.rpc()
        for call in (lambda: rpc.nope(), lambda: rpc.job_exec(), lambda: rpc.job_exec("db_list", {}, 3), lambda: rpc.job_exec(3),
                     lambda: rpc.job_exec("db_list", "params"), lambda: rpc.job_exec("db_list", {"dry_run": "true"}), lambda: rpc.job_wait("11.1", {"timeout": "soon"}), lambda: rpc.job_list(1)):
            with self.assertRaises(xmlrpc.client.Fault) as caught:
                call()
            self.assertEqual(caught.exception.faultCode, 1)
            self.assertRegex(caught.exception.faultString, r"^<class '\w+'>:")

    def test_a_job_that_makes_no_sense_is_an_envelope(self):
        rpc = self.node.rpc()
        unknown = rpc.job_exec("db_dance")
        self.assertEqual((unknown["result_name"], unknown["result_desc"]), ("UnknownJob", "Job does not exist: 'db_dance'"))
        self.assertEqual(rpc.job_desc("db_dance")[0], False)
        for job_id in ("11.999999", "13.1", "nonsense", ""):
            self.assertEqual(rpc.job_result(job_id)["result_name"], "UnknownJobId", job_id)
            self.assertEqual(rpc.job_info({"job_id": job_id})["result_name"], "UnknownJobId", job_id)

    def test_the_text_of_job_help_is_what_pprint_would_print(self):
        rpc = self.node.rpc()
        for job in rpc.job_list():
            _, description = rpc.job_desc(job)
            lines = ["Description: " + repr(description[0])]
            for heading, member in (("Mandatory", 1), ("Optional", 2), ("Substitute", 3)):
                lines += [heading + " parameters:", pprint.pformat(description[member], indent=4)]
            lines += ["Allowed users:" + repr(description[4]), "Allowed groups:" + repr(description[5])]
            self.assertEqual(rpc.job_help(job), "\n".join(lines))


class Descriptions(WithNode):
    """The rules of the vendor's documentation generator for job_desc (spec/rpc.md §3)."""

    def test_all_jobs_pass_the_documentation_generator(self):
        rpc = self.node.rpc()
        jobs = rpc.job_list()
        self.assertEqual(jobs, sorted(jobs))
        for job in jobs:
            with self.subTest(job=job):
                ok, payload = rpc.job_desc(job)
                self.assertIs(ok, True)
                self.assertGreaterEqual(len(payload), 12)
                json.dumps(payload)
                self.assertIsInstance(payload[0], str)
                for params in (payload[1] or {}, payload[2] or {}):
                    for name, param in params.items():
                        self.assertIsInstance(param["desc"], str)
                        texts = param["type"] if isinstance(param["type"], list) else [param["type"]]
                        for text in texts:
                            self.assertTrue(any(word in text for word in ("str", "int", "bool", "tuple", "dict", "object", "list")), (name, text))
                for name, instead in (payload[3] or {}).items():
                    self.assertIn(name, {**(payload[1] or {}), **(payload[2] or {})})
                    self.assertTrue(instead and all(isinstance(other, str) for other in instead))
                for names in (payload[4], payload[5]):
                    self.assertTrue(names is None or isinstance(names, list))
                self.assertTrue(payload[4] or payload[5], "nobody could run this job")
                for example in payload[6] or []:
                    self.assertIsInstance(example, dict)
                self.assertTrue(payload[11] is None or isinstance(payload[11], str))

    def test_job_args_tell_the_same(self):
        rpc = self.node.rpc()
        for job in rpc.job_list():
            _, payload = rpc.job_desc(job)
            told = {arg["name"]: (arg["mandatory"], arg["type"]) for arg in rpc.job_args(job)}
            described = {name: (mandatory, param["type"]) for member, mandatory in ((1, True), (2, False))
                         for name, param in (payload[member] or {}).items()}
            self.assertEqual(told, described, job)


class OtherPythons(WithNode):
    def run_under(self, version):
        python = other_python(version)
        if not python:
            self.skipTest(f"there is no python{version} here (looked in ~/.pyenv/versions and PATH)")
        path = os.path.join(self.node.folder, "snippet.py")
        with open(path, "w") as file:
            file.write(OTHER_PYTHONS)
        works = subprocess.run([python, "-c", "import ssl, json"], capture_output=True)
        if works.returncode != 0:
            self.skipTest(f"{python} does not run or has no ssl module")
        done = subprocess.run([python, path, self.node.url(""), self.node.url("/", password="wrong")], capture_output=True, text=True, timeout=50)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^all well 11\.\d+$")

    def test_python_2_7(self):
        self.run_under("2.7")

    def test_python_3_6(self):
        self.run_under("3.6")

    def test_python_3_13(self):
        self.run_under("3.13")


class Curl(WithNode):
    def curl(self, *arguments, text=None):
        return subprocess.run(["curl", "--silent", "--insecure", *arguments], capture_output=True, text=True, timeout=30, input=text)

    def where(self, path):
        return f"https://{self.node.address}:{self.node.port}{path}"

    def test_the_readiness_probe(self):
        self.assertEqual(self.curl("--fail", self.where("/is_master")).returncode, 0)

    def test_master_gives_an_address_to_paste_into_a_url(self):
        self.assertEqual(self.curl("--fail", self.where("/master")).stdout, self.node.address)
        self.assertEqual(self.curl("--fail", self.where("/master?info_type=name")).stdout, "n11")

    def test_a_post_without_credentials_is_401(self):
        probe = '<?xml version="1.0"?><methodCall><methodName>system.listMethods</methodName><params/></methodCall>'
        common = ["-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: text/xml", "--data-binary", "@-"]
        self.assertEqual(self.curl(*common, self.where("/RPC2"), text=probe).stdout, "401")
        password_file = os.path.join(self.node.folder, "curlrc")
        with open(password_file, "w") as file:
            file.write(f'user = "admin:{self.node.password}"\n')
        self.assertEqual(self.curl("-K", password_file, *common, self.where("/RPC2"), text=probe).stdout, "200")

    def test_json_without_a_content_type(self):
        with open(os.path.join(self.node.folder, "curlrc"), "w") as file:
            file.write(f'user = "admin:{self.node.password}"\n')
        done = self.curl("-K", file.name, "--data", '{"jsonrpc": "2.0", "method": "db_list", "params": {}, "id": "a"}', self.where("/rest"))
        self.assertEqual(json.loads(done.stdout)["id"], "a")


class Json(WithNode):
    def spk(self, body):
        """As SPK sends: urllib, no content type of JSON."""
        request = urllib.request.Request(self.node.url("/rest", user=None), json.dumps(body).encode(), {"Authorization": self.node.basic()})
        with urllib.request.urlopen(request, context=UNVERIFIED, timeout=30) as answer:
            self.assertEqual(answer.status, 200)
            return json.loads(answer.read())

    def test_style_a_start_and_poll(self):
        job_id = self.spk({"method": "job_start", "job": "db_list", "params": {"params": {}, "dry_run": False, "volatile": False}})
        self.assertIsInstance(job_id, str)

        def finished():
            result = self.spk({"method": "job_result", "params": {"job_id": job_id}})
            return result if result["result_code"] != 5 else None
        result = eventually(finished)
        self.assertEqual((result["result_code"], result["result_name"], result["result_jobid"]), (0, "OK", job_id))
        self.assertIsInstance(result["result_output"], list)

    def test_style_a_of_other_methods(self):
        self.assertIn("db_list", self.spk({"method": "job_list"}))
        self.assertIn("db_list", self.spk({"method": "job_list", "params": {}}))
        self.assertEqual(self.spk({"method": "job_exec", "job": "db_list"})["result_name"], "OK")
        self.assertEqual(self.spk({"method": "job_exec", "job": "user_info", "params": {"params": {"username": "root"}}})["result_output"]["id"], 0)
        self.assertEqual(self.spk({"method": "job_exec", "params": ["user_info", {"params": {"username": "root"}}]})["result_output"]["id"], 0)
        self.assertIn("Description", self.spk({"method": "job_help", "job": "db_list"}))
        self.assertIn("Description", self.spk({"method": "job_help", "params": {"job_name": "db_list"}}))
        self.assertTrue(self.spk({"method": "job_desc", "job": "db_list"})[0])
        job_id = self.spk({"method": "job_start", "job": "db_list"})
        self.assertIs(self.spk({"method": "job_wait", "params": {"job_id": job_id, "timeout": 20}}), True)

    def test_style_a_failures_are_400_with_an_error(self):
        for body in ({"method": "nope"}, {"job": "db_list"}, {"method": 3}, {}, 3, "text", None, []):
            status, answer = self.node.json(body)
            self.assertIn("error", answer, body)
            self.assertNotIn("result_jobid", answer)
            self.assertIn(status, (200, 400), body)
        status, answer = self.node.json({"method": "nope"})
        self.assertEqual(status, 400)

    def test_style_b_takes_a_job_name_as_method(self):
        for path in ("/rest", "/jrpc", "/REST/", "/Jrpc"):
            for request_id in ("any-string", 7, None, 1.5):
                status, answer = self.node.json({"jsonrpc": "2.0", "method": "db_list", "params": {}, "id": request_id}, path)
                self.assertEqual(status, 200)
                self.assertEqual(answer["id"], request_id)
                self.assertEqual(answer["jsonrpc"], "2.0")
                self.assertNotIn("error", answer)
                self.assertEqual(answer["result"]["result_name"], "OK")
        _, answer = self.node.json({"jsonrpc": "2.0", "method": "user_info", "params": {"username": "root"}, "id": 1})
        self.assertEqual(answer["result"]["result_output"]["id"], 0)

    def test_style_b_takes_rpc_methods_too(self):
        def call(method, params):
            return self.node.json({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})[1]["result"]
        job_id = call("job_start", ["db_list", {"params": {}}])
        self.assertIs(call("job_wait", [job_id, {"timeout": 20}]), True)
        self.assertEqual(call("job_result", {"job_id": job_id})["result_name"], "OK")
        self.assertEqual(call("job_exec", {"job_name": "user_info", "options": {"params": {"username": "root"}}})["result_output"]["id"], 0)
        self.assertIn("job_exec", call("system.listMethods", {}))

    def test_style_b_errors_have_the_codes_of_json_rpc(self):
        def code(body):
            return self.node.json(body)[1]["error"]["code"]
        self.assertEqual(code({"jsonrpc": "2.0", "method": "nope", "id": 1}), -32601)
        self.assertEqual(code({"jsonrpc": "2.0", "method": "job_exec", "id": 1}), -32602)
        self.assertEqual(code({"jsonrpc": "2.0", "id": 1}), -32600)
        status, _, body = self.node.http("POST", "/rest", '{"jsonrpc": ')
        self.assertEqual(json.loads(body)["error"]["code"], -32700)

    def test_batches_and_notifications(self):
        status, answers = self.node.json([
            {"jsonrpc": "2.0", "method": "db_list", "id": "first"},
            {"jsonrpc": "2.0", "method": "group_create", "params": {"groupname": "notified", "groupid": 4300}},
            {"jsonrpc": "2.0", "method": "nope", "id": "last"}])
        self.assertEqual(status, 200)
        self.assertEqual([answer["id"] for answer in answers], ["first", "last"])
        self.assertIn("result", answers[0])
        self.assertEqual(answers[1]["error"]["code"], -32601)
        eventually(lambda: "notified" in self.node.exaconf(), what="the notification was carried out")
        self.assertEqual(self.node.json([{"jsonrpc": "2.0", "method": "db_list"}]), (204, None))
        self.assertEqual(self.node.json([])[1]["error"]["code"], -32600)
        self.assertEqual(self.node.json([{"method": "db_list"}])[1]["error"]["code"], -32600)

    def test_bearer_with_the_token_of_exaconf_as_clients_extract_it(self):
        path = self.node.path("etc/EXAConf")
        extracted = {subprocess.run(["awk", *program, path], capture_output=True, text=True, check=True).stdout.strip() for program in (
            ['$1 == "AuthenticationToken" { print $3 }'], ["-F = ", "/AuthenticationToken/ {print $2; exit}"])}
        self.assertEqual(len(extracted), 1)
        token = extracted.pop()
        self.assertGreaterEqual(len(token), 20)
        status, answer = self.node.json({"jsonrpc": "2.0", "method": "db_list", "params": {}, "id": "x"}, login=None, headers={"Authorization": "Bearer " + token})
        self.assertEqual((status, answer["result"]["result_name"]), (200, "OK"))
        status, _, body = self.node.http("POST", "/rest", "{}", {"Authorization": "Bearer x" + token[1:]}, login=None)
        self.assertEqual(status, 401)
        self.assertNotIn(token[1:], body.decode())


class Wire(WithNode):
    def call(self, method, *params):
        return xmlrpc.client.dumps(params, method, allow_none=True)

    def test_gzip_when_accepted_and_worth_it(self):
        status, headers, body = self.node.http("POST", "/", self.call("job_help", "log_collect"), {"Accept-Encoding": "gzip"})
        self.assertEqual((status, headers.get("Content-Encoding")), (200, "gzip"))
        self.assertIn("Mandatory parameters", xmlrpc.client.loads(gzip.decompress(body))[0][0])
        status, headers, body = self.node.http("POST", "/", self.call("job_help", "log_collect"))
        self.assertNotIn("Content-Encoding", headers)
        self.assertIn("Mandatory parameters", xmlrpc.client.loads(body)[0][0])

    def test_one_connection_carries_many_calls(self):
        connection = http.client.HTTPSConnection(self.node.address, self.node.port, context=UNVERIFIED, timeout=30)
        self.addCleanup(connection.close)
        sockets = set()
        for _ in range(20):
            connection.request("POST", "/RPC2", self.call("job_exec", "db_list"), {"Authorization": self.node.basic()})
            sockets.add(connection.sock)
            answer = connection.getresponse()
            self.assertEqual(xmlrpc.client.loads(answer.read())[0][0]["result_name"], "OK")
        self.assertEqual(len(sockets), 1)
        self.assertIsNotNone(sockets.pop())

    def test_a_refused_login_keeps_the_connection(self):
        connection = http.client.HTTPSConnection(self.node.address, self.node.port, context=UNVERIFIED, timeout=30)
        self.addCleanup(connection.close)
        connection.request("POST", "/", self.call("job_list"))
        first = connection.sock
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.reason), (401, "Unauthorized"))
        answer.read()
        connection.request("POST", "/", self.call("job_list"), {"Authorization": self.node.basic()})
        self.assertIs(connection.sock, first)
        self.assertEqual(connection.getresponse().status, 200)

    def test_pipelined_requests_are_answered_in_order(self):
        body = [self.call("job_exec", "db_list"), self.call("job_wait", "11.99999", {"timeout": 1}), self.call("job_list"), self.call("system.methodHelp", "job_exec")]
        text = "".join(f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {self.node.basic()}\r\nContent-Length: {len(one)}\r\n\r\n{one}" for one in body)
        with self.node.tls() as connection, connection.makefile("rb") as reader:
            connection.sendall(text.encode())
            results = []
            for _ in body:
                self.assertTrue(reader.readline().startswith(b"HTTP/1.1 200"))
                headers = http.client.parse_headers(reader)
                results.append(xmlrpc.client.loads(reader.read(int(headers["Content-Length"])))[0][0])
        self.assertEqual(results[0]["result_name"], "OK")
        self.assertEqual(results[1]["result_name"], "UnknownJobId")
        self.assertIn("db_list", results[2])
        self.assertIn("Run a job", results[3])

    def test_both_ways_of_writing_a_call(self):
        for text in ('<?xml version="1.0"?><methodCall><methodName>job_exec</methodName><params><param><value>db_list</value></param></params></methodCall>',
                     "<?xml version='1.0'?>\n<methodCall>\n<methodName>job_exec</methodName>\n<params>\n<param>\n<value><string>db_list</string></value>\n</param>\n"
                     "<param>\n<value><struct>\n<member>\n<name>params</name>\n<value><struct>\n</struct></value>\n</member>\n</struct></value>\n</param>\n"
                     "</params>\n</methodCall>\n"):
            status, headers, body = self.node.http("POST", "/rpc2", text)
            self.assertEqual(status, 200)
            self.assertTrue(headers["Content-Type"].startswith("text/xml"))
            self.assertEqual(xmlrpc.client.loads(body)[0][0]["result_name"], "OK")

    def test_what_is_no_xml_is_a_fault(self):
        for text in ("", "no xml", "<methodCall>", "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><methodCall><methodName>&b;</methodName></methodCall>"):
            status, _, body = self.node.http("POST", "/", text)
            self.assertEqual(status, 200)
            with self.assertRaises(xmlrpc.client.Fault):
                xmlrpc.client.loads(body)

    def test_other_verbs_and_paths(self):
        for path in ("/", "/RPC2", "/rest"):
            status, headers, _ = self.node.http("GET", path)
            self.assertEqual((status, headers["Allow"]), (405, "POST"))
        self.assertEqual(self.node.http("POST", "/nowhere", "x")[0], 404)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
