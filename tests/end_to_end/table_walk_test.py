#!/usr/bin/env python3
"""Walks over all jobs there are: who may run them, what they say to missing, wrong and unknown parameters, and whether the examples
they show are good. A job that is added is walked over without a change here."""
import json
import unittest
import xmlrpc.client

from node import Node

# A value of each type, and what job_desc calls the type.
VALUES = {"str": "some text", "int": 4711, "bool": True, "list": ["some", "items"], "dict": {"some": "member"}}
PASSWORD = "Walker-password1"
# Their examples are about a cluster of several nodes; on this one node they are refused, and for that reason alone.
WANT_MORE_NODES = {
    "master_change": "NotFound", "node_add": "Unsupported", "node_add_batch": "Unsupported", "node_clone_batch": "Unsupported",
    "node_ip_batch": "NotFound", "node_remove": "NotFound", "node_resume": "NotFound", "node_suspend": "NotFound",
    "node_wait_offline": "NotFound", "node_wait_ready": "NotFound",
    # And a platform provider.
    "infra_firewall_update": "Unsupported", "infra_instances_add": "Unsupported", "infra_instances_remove": "NotFound",
    "infra_instances_start": "NotFound", "infra_instances_stop": "NotFound", "infra_instances_update": "NotFound",
    "infra_resources_update": "Unsupported", "nodes_terminate": "NotFound", "update_system": "Unsupported",
    # Storage: nodes, users, labels and a device that are not there, a volume of root's.
    "st_volume_append_node": "NotFound", "st_volume_move_node": "NotFound", "st_volume_change_owner": "Forbidden", "st_volume_change_permissions": "Forbidden",
    "st_volume_delete": "Forbidden", "st_volume_remove_label": "NotFound", "st_volume_decrease_redundancy": "BadParameter", "st_node_resume": "WrongState",
    "st_device_add": "Exists", "st_node_get_link_speed": "Unsupported",
    # Of a data volume: its copies are the database's business.
    "st_node_restore": "Unsupported", "st_node_stop_restore": "Unsupported",
}
# Open to these groups, and of their members to the owner of the thing alone.
OWNERS_ONLY = {"st_volume_change_owner", "st_volume_change_permissions", "st_volume_delete"}


def types_of(param):
    text = param["type"]
    return {name for name in ("str", "int", "float", "bool", "list", "dict") if f"'{name}'" in text}


def fitting(param):
    """Any value of a type the parameter takes."""
    types = types_of(param)
    return next(value for name, value in VALUES.items() if name in types)


def misfits(param):
    """Values of all types the parameter does not take. Numbers pass as text, and text that is a number as a number."""
    types = types_of(param)
    for name, value in VALUES.items():
        if name in types or (name == "int" and types == {"str"}) or (name == "int" and "float" in types):
            continue
        yield value


class TableWalk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()
        rpc = cls.node.rpc()
        cls.descriptions = {job: rpc.job_desc(job)[1] for job in rpc.job_list()}
        for group_id, group in ((3000, "strangers"), (3001, "reporting")):
            assert cls.node.job("group_create", {"groupname": group, "groupid": group_id})["result_code"] == 0
        groups = sorted({group for description in cls.descriptions.values() for group in description[5] or []} | {"strangers"})
        for number, group in enumerate(groups):
            made = cls.node.job("user_create", {"username": "of-" + group, "userid": 3100 + number, "group": group, "login_enabled": True, "password": PASSWORD})
            assert made["result_code"] == 0, made
        # What examples name.
        for name, user_id in (("user_1", 1001), ("admin4", 1004)):
            made = cls.node.job("user_create", {"username": name, "userid": user_id, "group": "exausers", "login_enabled": False, "password": "*"})
            assert made["result_code"] == 0, made
        for name in ("vol1", "r0001"):
            made = cls.node.job("remote_volume_add", {"vol_type": "file", "url": "file:///mnt", "remote_volume_name": name, "check_access": False})
            assert made["result_code"] == 0, made
        made = cls.node.job("object_volume_add", {"vol_type": "s3", "name": "DataVolume2"})
        assert made["result_code"] == 0, made

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def job(self, name, params=None, **options):
        """As somebody who may run it: admin, or one of the group root for what is root's alone."""
        user = {} if "exaadm" in (self.descriptions[name][5] or []) else {"user": "of-root", "password": PASSWORD}
        return self.node.rpc(**user).job_exec(name, {"params": params or {}, **options})

    def jobs_run(self):
        return {row["job_id"] for row in self.node.rpc().job_history({"limit": 10000})}

    def refused(self, envelope, name):
        self.assertEqual(envelope["result_name"], name, envelope)
        self.assertNotEqual(envelope["result_code"], 0)
        self.assertNotIn("result_output", envelope)
        self.assertNotIn("result_revision", envelope)

    def complete(self, job):
        """Parameters of the right types, as far as the descriptor tells."""
        example = next((example for example in self.descriptions[job][6] or [] if example), None)
        return dict(example or {name: fitting(param) for name, param in (self.descriptions[job][1] or {}).items()})

    def test_nobody_gets_anything_without_a_login(self):
        before, text = self.jobs_run(), self.node.exaconf()
        for job in self.descriptions:
            call = xmlrpc.client.dumps(("%s" % job, {"params": self.complete(job)}), "job_exec")
            json_call = json.dumps({"method": "job_exec", "job": job, "params": {"params": self.complete(job)}})
            json_rpc = json.dumps({"jsonrpc": "2.0", "method": job, "params": self.complete(job), "id": 1})
            for path, body in (("/", call), ("/RPC2", call), ("/rpc2/", call), ("/rest", json_call), ("/jrpc", json_rpc), ("/nowhere", call)):
                status, headers, answer = self.node.http("POST", path, body, login=None)
                self.assertEqual((status, headers["WWW-Authenticate"]), (401, 'Basic realm="ConfD"'), (job, path))
                self.assertNotIn(b"result", answer)
        for method, path in (("GET", "/"), ("GET", "/events?subscription=x"), ("PUT", "/rest"), ("GET", "/nowhere"), ("POST", "/master"), ("DELETE", "/is_master")):
            self.assertEqual(self.node.http(method, path, login=None)[0], 401, (method, path))
        self.assertEqual((self.jobs_run(), self.node.exaconf()), (before, text))

    def test_who_may_run_a_job(self):
        before = self.node.exaconf()
        groups = {group for description in self.descriptions.values() for group in description[5] or []} | {"strangers"}
        for group in sorted(groups):
            rpc = self.node.rpc(user="of-" + group, password=PASSWORD)
            allowed = set(rpc.user_state()["jobs"])
            for job, description in self.descriptions.items():
                with self.subTest(group=group, job=job):
                    # No password is changed in this walk: user_passwd is open to everybody for himself.
                    result = rpc.job_exec(job, {"params": self.complete(job), "dry_run": True})
                    may = group in (description[5] or [])
                    if may and job in OWNERS_ONLY and group != "root":
                        self.assertIn("open to its owner", result["result_desc"])
                    elif may:
                        self.assertNotEqual(result["result_name"], "Forbidden", result)
                    else:
                        self.refused(result, "Forbidden")
                        self.assertIn(job, result["result_desc"])
                    self.assertEqual(job in allowed, may or bool({"xmlrpc user", "_owner"} & set(description[4] or [])))
        self.assertEqual(self.node.exaconf(), before)

    def test_a_refused_job_is_on_record(self):
        rpc = self.node.rpc(user="of-strangers", password=PASSWORD)
        result = rpc.job_exec("user_list")
        info = self.node.rpc().job_info(result["result_jobid"])
        self.assertEqual((info["user"], info["stage"], info["scheduling"]["decision"]), ("of-strangers", "finished", "declined"))

    def test_a_missing_parameter_is_named(self):
        for job, description in self.descriptions.items():
            for name in description[1] or {}:
                with self.subTest(job=job, parameter=name):
                    params = self.complete(job)
                    params.pop(name, None)
                    for other in (description[3] or {}).get(name, []):
                        params.pop(other, None)
                    result = self.job(job, params)
                    self.refused(result, "BadParameter")
                    self.assertIn(f"'{name}'", result["result_desc"])
                    self.refused(self.job(job, {**params, name: None}), "BadParameter")

    def test_a_substitute_stands_for_a_parameter(self):
        walked = 0
        for job, description in self.descriptions.items():
            for name, instead in (description[3] or {}).items():
                if name not in (description[1] or {}):
                    continue
                walked += 1
                params = self.complete(job)
                params.pop(name, None)
                params[instead[0]] = fitting({**(description[1] or {}), **(description[2] or {})}[instead[0]])
                self.assertNotEqual(self.job(job, params, dry_run=True)["result_name"], "BadParameter")
        self.assertGreater(walked, 0)

    def test_a_value_of_a_wrong_type_is_refused_with_the_name_of_the_parameter(self):
        before = self.node.exaconf()
        walked = 0
        for job, description in self.descriptions.items():
            for name, param in {**(description[1] or {}), **(description[2] or {})}.items():
                for value in misfits(param):
                    with self.subTest(job=job, parameter=name, value=value):
                        walked += 1
                        result = self.job(job, {**self.complete(job), name: value})
                        self.refused(result, "BadParameter")
                        self.assertIn(f"'{name}'", result["result_desc"])
        self.assertGreater(walked, 100)
        self.assertEqual(self.node.exaconf(), before)

    def test_parameters_that_are_no_struct(self):
        for job in self.descriptions:
            for params in (["a"], "text", 3, True):
                self.refused(self.job(job, params), "BadParameter")

    def test_an_unknown_parameter_is_accepted_with_a_warning(self):
        for job in self.descriptions:
            with self.subTest(job=job):
                result = self.job(job, {**self.complete(job), "colour": "red"}, dry_run=True)
                self.assertNotIn("colour", result["result_desc"])
                if job == "cert_update":
                    continue  # its sample parameters are no certificate: refused for that
                warnings = self.node.rpc().job_info(result["result_jobid"])["warnings"]
                self.assertTrue(any("'colour'" in warning for warning in warnings), warnings)

    def test_the_examples_of_a_job_are_accepted(self):
        before = self.node.exaconf()
        for job, description in self.descriptions.items():
            for example in description[6] or []:
                with self.subTest(job=job, example=example):
                    if job == "user_create":
                        example = {**example, "username": "user_9", "userid": 1009}
                    if job == "group_create":
                        example = {**example, "groupname": "group_9", "groupid": 1009}
                    if job == "object_volume_add":
                        example = {**example, "name": "DataVolume9"}
                    result = self.job(job, example, dry_run=True)
                    if job in WANT_MORE_NODES:
                        self.assertEqual(result["result_name"], WANT_MORE_NODES[job], result)
                        continue
                    self.assertEqual((result["result_code"], result["result_desc"]), (0, "Success"))
        self.assertEqual(self.node.exaconf(), before)

    def test_numbers_may_be_given_as_text(self):
        self.assertEqual(self.node.job("user_info", {"userid": "0"})["result_output"]["group"], "root")
        self.assertEqual(self.node.job("node_info", {"nid": "11"})["result_output"]["id"], "11")
        self.refused(self.node.job("node_info", {"nid": "eleven"}), "BadParameter")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
