"""Files of one archive volume, asked of confd over HTTP on the loopback address: what ftp_door.py and sftp_door.py serve.

All that may be refused is refused by confd; its status comes out as an OSError that both servers pass on. One
object belongs to one session and one thread at a time.
"""
import base64
import errno
import http.client
import json
import logging
import logging.handlers
import os
import stat
import sys
import urllib.parse
import xml.etree.ElementTree

PATIENCE = 150  # seconds without a word from confd; it gives up earlier itself
DAV = "{DAV:}"
REASONS = {400: errno.EINVAL, 401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 405: errno.EEXIST, 409: errno.EEXIST, 412: errno.EEXIST,
           423: errno.EBUSY, 503: errno.EAGAIN, 504: errno.ETIMEDOUT, 507: errno.ENOSPC}


def read_settings():
    """What confd says over standard input; the log goes where it says."""
    settings = json.load(sys.stdin)
    handler = logging.handlers.RotatingFileHandler(settings["log"], maxBytes=4 << 20, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    os.chmod(settings["log"], 0o600)
    return settings


def failure(status, text):
    return OSError(REASONS.get(status, errno.EIO), " ".join(text.split()) or http.client.responses.get(status, str(status)))


class Entry:
    def __init__(self, name, is_folder, size):
        self.name, self.is_folder, self.size = name, is_folder, size

    def status(self):
        """As os.stat gives it; times and owners of files are not kept."""
        mode = stat.S_IFDIR | 0o700 if self.is_folder else stat.S_IFREG | 0o600
        return os.stat_result((mode, 0, 0, 1, 0, 0, self.size, 0, 0, 0))


class Volume:
    def __init__(self, settings, user, password, address):
        self.host, self.port = settings["address"], settings["inner_port"]
        self.own_name = settings["volume"]
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": "Basic " + login, "X-Confd-Door": settings["secret"], "X-Confd-Client": address}
        self.kept = None

    def logs_in(self):
        """Is he somebody? What he may do is found out later."""
        status = self.ask("OPTIONS", "/")[0]
        if status == 503:
            raise OSError(errno.EAGAIN, "too many logins at once")
        return status != 401

    # -- the wire
    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def target(self, path):
        """Where that is in the volume: /v0001/a is /a in the volume v0001."""
        parts = [part for part in path.split("/") if part]
        if parts and parts[0] == self.own_name:
            parts = parts[1:]
        return "/" + urllib.parse.quote("/".join(parts), safe="/")

    def ask(self, method, target, headers=None):
        """(status, body) of a short request, on a connection that is kept."""
        for attempt in (1, 2):
            connection, self.kept = self.kept or self.connect(), None
            fresh = connection.sock is None
            try:
                connection.request(method, target, headers={**self.headers, **(headers or {})})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                if fresh or attempt == 2:
                    raise OSError(errno.EIO, "confd does not answer") from None
                continue
            if answer.will_close:
                connection.close()
            else:
                self.kept = connection
            return answer.status, body

    def expect(self, method, path, headers=None):
        status, body = self.ask(method, self.target(path), headers)
        if status >= 300:
            raise failure(status, body.decode(errors="replace"))
        return body

    def close(self):
        if self.kept:
            self.kept.close()
            self.kept = None

    # -- what is there
    def entries(self, path, depth):
        body = self.expect("PROPFIND", path, {"Depth": str(depth)})
        found = []
        for response in xml.etree.ElementTree.fromstring(body).iter(DAV + "response"):
            href = urllib.parse.unquote(response.find(DAV + "href").text)
            size = response.find(f".//{DAV}getcontentlength")
            found.append(Entry(href.rstrip("/").rsplit("/", 1)[-1], response.find(f".//{DAV}collection") is not None, 0 if size is None else int(size.text)))
        return found

    def entry(self, path):
        return self.entries(path, 0)[0]

    def list(self, path):
        own, *entries = self.entries(path, 1)
        if not own.is_folder:
            raise OSError(errno.ENOTDIR, "is no folder")
        return entries

    # -- changes
    def make_folder(self, path):
        self.expect("MKCOL", path)

    def remove_file(self, path):
        if self.entry(path).is_folder:
            raise OSError(errno.EISDIR, "is a folder")
        self.expect("DELETE", path)

    def remove_folder(self, path):
        if self.list(path):
            raise OSError(errno.ENOTEMPTY, "the folder is not empty")
        self.expect("DELETE", path)

    def move(self, source, target, overwrite):
        self.expect("MOVE", source, {"Destination": self.target(target), "Overwrite": "T" if overwrite else "F"})


class Download:
    """A file's bytes from an offset on, in a row."""

    def __init__(self, volume, path, offset=0, size=None):
        self.connection, self.left = volume.connect(), 0
        headers = dict(volume.headers)
        if offset or size is not None:
            headers["Range"] = f"bytes={offset}-{'' if size is None else offset + size - 1}"
        self.connection.request("GET", volume.target(path), headers=headers)
        self.answer = self.connection.getresponse()
        if self.answer.status == 416:
            self.answer.read()
        elif self.answer.status not in (200, 206) or (offset and self.answer.status != 206):
            text = self.answer.read().decode(errors="replace")
            self.close()
            raise failure(self.answer.status, text)
        else:
            self.left = int(self.answer.headers["Content-Length"])

    def read(self, most):
        if not self.left:
            return b""
        piece = self.answer.read(min(most, self.left))
        if not piece:
            raise OSError(errno.EIO, "the file broke off")
        self.left -= len(piece)
        return piece

    def close(self):
        self.connection.close()


class Upload:
    """A file on its way in: there when finish() returned, and not at all after abandon()."""

    def __init__(self, volume, path):
        self.connection = volume.connect()
        self.connection.putrequest("PUT", volume.target(path), skip_accept_encoding=True)
        for name, value in volume.headers.items():
            self.connection.putheader(name, value)
        self.connection.putheader("Transfer-Encoding", "chunked")
        self.connection.endheaders()
        self.over = False

    def write(self, piece):
        if not piece:
            return
        try:
            self.connection.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        except OSError:
            self.finish_early()

    def finish_early(self):
        """confd takes no more: it says why."""
        try:
            answer = self.connection.getresponse()
            error = failure(answer.status, answer.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException):
            error = OSError(errno.EIO, "confd took no more of the file")
        self.abandon()
        raise error from None

    def finish(self):
        if self.over:
            raise OSError(errno.EIO, "the file was given up before")
        try:
            self.connection.send(b"0\r\n\r\n")
        except OSError:
            self.finish_early()
        try:
            answer = self.connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            raise OSError(errno.EIO, "confd did not say that the file is kept") from None
        finally:
            self.abandon()
        if answer.status >= 300:
            raise failure(answer.status, text)

    def abandon(self):
        self.over = True
        self.connection.close()
