#!/usr/bin/env python3
# A tour of confd from Python: usage: tour.py HOST:PORT USER PASSWORD_FILE
import ssl
import sys
import urllib.parse
import xmlrpc.client

host, user, password_file = sys.argv[1:4]
password = urllib.parse.quote(open(password_file).readline().strip(), safe="")
# A new node has a self-signed certificate; with one of your own, drop the context.
confd = xmlrpc.client.ServerProxy(f"https://{user}:{password}@{host}/", allow_none=True, context=ssl._create_unverified_context())

print("jobs there are:", len(confd.job_list()))
print("node_state:    ", confd.job_exec("node_state")["result_output"])
new_user = {"username": "tour", "userid": 2001, "group": "exausers", "login_enabled": False, "password": "*"}
job_id = confd.job_start("user_create", {"params": new_user})
if confd.job_wait(job_id, {"timeout": 10}):
    print("user_create:   ", confd.job_result(job_id))
print("user_info:     ", confd.job_exec("user_info", {"params": {"username": "tour"}})["result_output"])
print("user_delete:   ", confd.job_exec("user_delete", {"params": {"username": "tour"}})["result_name"])
print("what happened: ", confd.job_info({"job_id": job_id})["times"])
