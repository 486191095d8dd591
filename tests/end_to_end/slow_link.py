"""A TCP link in front of a server that is slow, or stops in the middle: each chunk waits `delay` seconds, and after `stall_after` bytes
from the client nothing goes on (connections stay open, nobody is told).

    link = SlowLink(server.port, delay=0.1)
    link.port, link.sent      # where clients connect; bytes that came from them
"""
import contextlib
import socket
import threading
import time

ADDRESS = "127.0.0.1"
CHUNK = 4096


class SlowLink:
    def __init__(self, port, delay=0.0, stall_after=None):
        self.server_port, self.delay, self.stall_after = port, delay, stall_after
        self.sent = 0
        self.stalled = threading.Event()
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.sockets = []
        self.listener = socket.create_server((ADDRESS, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closing.is_set():
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection((ADDRESS, self.server_port), timeout=30)
            except OSError:
                continue  # closed, or the server is gone: the client's socket goes with this frame
            server.settimeout(None)
            with self.lock:
                self.sockets += [client, server]
            threading.Thread(target=self.carry, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(server, client, False), daemon=True).start()

    def carry(self, source, target, from_client):
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                time.sleep(self.delay)
                if from_client:
                    with self.lock:
                        room = len(data) if self.stall_after is None else max(0, self.stall_after - self.sent)
                        self.sent += len(data)
                    if room < len(data):
                        target.sendall(data[:room])
                        self.stalled.set()
                        self.closing.wait()
                        return
                elif self.stalled.is_set():
                    self.closing.wait()
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.closing.set()
        for each in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
