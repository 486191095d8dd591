#!/usr/bin/env python3
"""What one would write in an afternoon, to compare with: xmlrpc.server with ThreadingMixIn over TLS, Basic login, keep-alive.

    python_server.py CERTIFICATE KEY USER PASSWORD      prints its port
"""
import base64
import socketserver
import ssl
import sys
import time
import xmlrpc.server

certificate, key, user, password = sys.argv[1:]
LOGIN = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
BOOTED = time.ctime()
jobs = 0


def job_exec(name, options=None):
    global jobs
    jobs += 1
    output = {"11": "online", "booted": {"11": BOOTED}} if name == "node_state" else {"11": {"name": "n11"}}
    return {"result_code": 0, "result_name": "OK", "result_desc": "Success", "result_jobid": f"11.{jobs}", "result_output": output}


class Handler(xmlrpc.server.SimpleXMLRPCRequestHandler):
    protocol_version = "HTTP/1.1"
    rpc_paths = ("/", "/RPC2")

    def do_POST(self):
        if self.headers.get("Authorization") != LOGIN:
            return self.send_error(401)
        super().do_POST()


class Server(socketserver.ThreadingMixIn, xmlrpc.server.SimpleXMLRPCServer):
    daemon_threads = True
    request_queue_size = 256

    def finish_request(self, request, client_address):
        with tls.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)

    def shutdown_request(self, request):
        request.close()


server = Server(("127.0.0.1", 0), Handler, logRequests=False, allow_none=True)
server.register_function(job_exec)
print(server.server_address[1], flush=True)
server.serve_forever()
