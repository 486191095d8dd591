#!/usr/bin/python3
"""SFTP for one archive volume: paramiko over volume_client. Started and watched by confd (daemon/archive_doors).

A file counts when the client closed it and confd keeps it; when a session ends with files open, these are given
up. Logins are by password. Clients may write and read pieces out of order, not too far apart; a file is written
as a whole.
"""
import collections
import errno
import logging
import os
import posixpath
import socket
import sys
import threading
import time

import paramiko
from paramiko import SFTP_BAD_MESSAGE, SFTP_EOF, SFTP_FAILURE, SFTP_OK, SFTP_OP_UNSUPPORTED, SFTPAttributes, SFTPHandle, SFTPServer

from volume_client import Download, Upload, Volume, read_settings

AHEAD = 64 << 20  # bytes that may wait for a piece before them
BLOCK = 4 << 20
BLOCKS = 4
MOST_SESSIONS, MOST_PER_ADDRESS = 64, 32
LOGIN_TIME = 60  # seconds

log = logging.getLogger("sftp")


def status_of(error):
    log.info("%s", error)
    return SFTPServer.convert_errno(error.errno or errno.EIO)


def attributes(entry):
    return SFTPAttributes.from_stat(entry.status(), entry.name)


class Reading(SFTPHandle):
    def __init__(self, volume, path):
        super().__init__(os.O_RDONLY)
        self.volume, self.path = volume, path
        self.size = volume.entry(path).size
        self.blocks = collections.OrderedDict()

    def block(self, number):
        if number not in self.blocks:
            download = Download(self.volume, self.path, number * BLOCK, min(BLOCK, self.size - number * BLOCK))
            try:
                self.blocks[number] = b"".join(iter(lambda: download.read(1 << 20), b""))
            finally:
                download.close()
            if len(self.blocks) > BLOCKS:
                self.blocks.popitem(last=False)
        self.blocks.move_to_end(number)
        return self.blocks[number]

    def read(self, offset, length):
        if offset >= self.size:
            return SFTP_EOF
        try:
            return self.block(offset // BLOCK)[offset % BLOCK:][:length]
        except OSError as error:
            return status_of(error)

    def stat(self):
        try:
            return attributes(self.volume.entry(self.path))
        except OSError as error:
            return status_of(error)

    def close(self):
        self.blocks.clear()


class Writing(SFTPHandle):
    def __init__(self, files, path):
        super().__init__(os.O_WRONLY)
        self.files, self.path = files, path
        self.upload = Upload(files.volume, path)
        self.at, self.early, self.waiting = 0, {}, 0
        self.over = False

    def write(self, offset, data):
        if self.over:
            return SFTP_FAILURE
        if offset < self.at or self.waiting + len(data) > AHEAD:
            self.give_up()
            log.info("%s: a file is written from its beginning to its end", self.path)
            return SFTP_FAILURE
        self.early[offset] = data
        self.waiting += len(data)
        try:
            while self.at in self.early:
                piece = self.early.pop(self.at)
                self.waiting -= len(piece)
                self.upload.write(piece)
                self.at += len(piece)
                if not piece:
                    break
        except OSError as error:
            self.give_up()
            return status_of(error)
        return SFTP_OK

    def stat(self):
        found = SFTPAttributes()
        found.st_size, found.st_mode = self.at, 0o100600
        return found

    def give_up(self):
        self.over = True
        self.early.clear()
        self.upload.abandon()

    def close(self):
        if self.over:
            return
        self.over = True
        if self.files.ended or self.waiting:
            self.upload.abandon()
            log.info("%s: given up, the session ended before the file did", self.path)
            return
        self.upload.finish()  # what it raises, paramiko passes on as a failure of the close


class Files(paramiko.SFTPServerInterface):
    def __init__(self, server, *_args, **_named):
        super().__init__(server)
        self.volume, self.ended = server.volume, False

    def session_ended(self):
        self.ended = True
        self.volume.close()

    def guarded(self, action):
        try:
            action()
        except OSError as error:
            return status_of(error)
        return SFTP_OK

    def open(self, path, flags, attr):
        try:
            if flags & (os.O_WRONLY | os.O_RDWR) == 0:
                if self.volume.entry(path).is_folder:
                    return SFTP_FAILURE
                return Reading(self.volume, path)
            # As a whole: neither what was there before nor what others write meanwhile is mixed in.
            if flags & os.O_APPEND:
                return SFTP_OP_UNSUPPORTED
            if not flags & os.O_TRUNC and self.exists(path):
                return SFTP_OP_UNSUPPORTED
            if flags & os.O_EXCL and self.exists(path):
                return SFTP_FAILURE
            return Writing(self, path)
        except OSError as error:
            return status_of(error)

    def exists(self, path):
        try:
            self.volume.entry(path)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def list_folder(self, path):
        try:
            return [attributes(entry) for entry in self.volume.list(path)]
        except OSError as error:
            return status_of(error)

    def stat(self, path):
        try:
            return attributes(self.volume.entry(path))
        except OSError as error:
            return status_of(error)

    lstat = stat

    def remove(self, path):
        return self.guarded(lambda: self.volume.remove_file(path))

    def rename(self, oldpath, newpath):
        return self.guarded(lambda: self.volume.move(oldpath, newpath, overwrite=False))

    def posix_rename(self, oldpath, newpath):
        return self.guarded(lambda: self.volume.move(oldpath, newpath, overwrite=True))

    def mkdir(self, path, attr):
        return self.guarded(lambda: self.volume.make_folder(path))

    def rmdir(self, path):
        return self.guarded(lambda: self.volume.remove_folder(path))

    def chattr(self, path, attr):
        return SFTP_OP_UNSUPPORTED  # neither times nor modes of files are kept

    def canonicalize(self, path):
        return posixpath.normpath("/" + path).replace("//", "/")


class Login(paramiko.ServerInterface):
    def __init__(self, settings, address):
        self.settings, self.address, self.volume = settings, address, None

    def get_allowed_auths(self, username):
        return "password"

    def check_auth_password(self, username, password):
        volume = Volume(self.settings, username, password, self.address)
        try:
            if volume.logs_in():
                self.volume = volume
                return paramiko.AUTH_SUCCESSFUL
        except OSError as error:
            log.warning("login of %s: %s", username, error)
        log.info("login of %s from %s refused", username, self.address)
        volume.close()
        return paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED if kind == "session" and self.volume else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


def host_key(path):
    """Made once for each root folder; who comes second takes that of the first."""
    if not os.path.exists(path):
        made = f"{path}.{os.getpid()}"
        os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        paramiko.ECDSAKey.generate(bits=256).write_private_key_file(made)
        os.chmod(made, 0o600)
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        os.unlink(made)
    return paramiko.ECDSAKey(filename=path)


def serve(connection, address, settings, key):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    transport = paramiko.Transport(connection, default_window_size=4 << 20)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = 15
    try:
        transport.add_server_key(key)
        transport.set_subsystem_handler("sftp", SFTPServer, Files)
        login = Login(settings, address)
        transport.start_server(server=login)
        deadline = time.monotonic() + LOGIN_TIME
        while transport.is_active():
            if not login.volume and time.monotonic() > deadline:
                break
            transport.join(1)
    except (paramiko.SSHException, EOFError, OSError) as error:
        log.info("%s: %s", address, error)
    finally:
        transport.close()


def main():
    settings = read_settings()
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what clients do wrong comes as an exception, too
    key = host_key(settings["host_key"])
    listening = socket.create_server((settings["listen"], settings["port"]), backlog=64,
                                     family=socket.AF_INET6 if ":" in settings["listen"] else socket.AF_INET)
    sessions, lock = collections.Counter(), threading.Lock()

    def one(connection, address):
        try:
            serve(connection, address, settings, key)
        finally:
            with lock:
                sessions[address] -= 1

    while True:
        connection, peer = listening.accept()
        with lock:
            sessions += collections.Counter()  # forgets who has gone
            refused = sum(sessions.values()) >= MOST_SESSIONS or sessions[peer[0]] >= MOST_PER_ADDRESS
            sessions[peer[0]] += 0 if refused else 1
        if refused:
            log.warning("%s refused: too many sessions", peer[0])
            connection.close()
            continue
        threading.Thread(target=one, args=(connection, peer[0]), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
