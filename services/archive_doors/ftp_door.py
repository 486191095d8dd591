#!/usr/bin/python3
"""FTP and FTPS (AUTH TLS) for one archive volume: pyftpdlib over volume_client. Started and watched by confd (daemon/archive_doors).

A file counts when its data connection ended in order while the control connection stood; anything else leaves
the old file. Appending and writing from an offset are refused: a file is written as a whole.
"""
import errno
import logging
import posixpath
import select
import socket
import sys

from pyftpdlib.authorizers import AuthenticationFailed
from pyftpdlib.filesystems import AbstractedFS, FilesystemError
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

from volume_client import Download, Upload, Volume, read_settings

# A client that dies closes both connections at nearly the same time.
LAST_WORDS = 0.1


class Reading:
    closed = False

    def __init__(self, volume, path):
        self.volume, self.path, self.name = volume, path, path
        self.offset, self.download = 0, None

    def seek(self, offset):
        self.offset = offset

    def read(self, most):
        if self.download is None:
            self.download = Download(self.volume, self.path, self.offset)
        return self.download.read(most)

    def close(self):
        self.closed = True
        if self.download:
            self.download.close()


class Writing:
    closed = False

    def __init__(self, volume, path):
        self.name = path
        self.upload = Upload(volume, path)
        self.write = self.upload.write

    def seek(self, _):
        raise OSError(errno.EINVAL, "a file is written as a whole")

    def finish(self):
        self.closed = True
        self.upload.finish()

    def close(self):
        """Not finished: it is given up."""
        self.closed = True
        self.upload.abandon()


class Files(AbstractedFS):
    """Paths of the volume itself; nothing here is of this machine."""

    @property
    def volume(self):
        return self.cmd_channel.volume

    def ftp2fs(self, ftppath):
        return self.ftpnorm(ftppath)

    def fs2ftp(self, fspath):
        return fspath

    def validpath(self, path):
        return "\0" not in path

    def realpath(self, path):
        return path

    def open(self, filename, mode):
        if "r" in mode and "+" not in mode:
            if self.volume.entry(filename).is_folder:
                raise OSError(errno.EISDIR, "is a folder")
            return Reading(self.volume, filename)
        if "w" in mode:
            return Writing(self.volume, filename)
        raise FilesystemError("a file is written as a whole: no appending, no resuming")

    def mkstemp(self, *_args, **_named):
        raise FilesystemError("give the file a name: STOR, not STOU")

    def chdir(self, path):
        if not self.isdir(path):
            raise OSError(errno.ENOTDIR, "no such folder")
        self.cwd = path

    def mkdir(self, path):
        self.volume.make_folder(path)

    def listdir(self, path):
        return [entry.name for entry in self.listdir_with_status(path)]

    def listdir_with_status(self, path):
        entries = self.volume.list(path)
        self.known = {posixpath.join(path, entry.name): entry.status() for entry in entries}
        return entries

    def rmdir(self, path):
        self.volume.remove_folder(path)

    def remove(self, path):
        self.volume.remove_file(path)

    def rename(self, src, dst):
        self.volume.move(src, dst, overwrite=True)

    def chmod(self, path, mode):
        raise FilesystemError("files have no modes of their own: st_volume_change_permissions")

    def utime(self, path, timeval):
        raise FilesystemError("times of files are not kept")

    def stat(self, path):
        # What was just listed is not asked for once more, entry by entry.
        known = getattr(self, "known", {}).pop(path, None)
        return known or self.volume.entry(path).status()

    lstat = stat

    def isfile(self, path):
        try:
            return not self.volume.entry(path).is_folder
        except OSError:
            return False

    def isdir(self, path):
        try:
            return self.volume.entry(path).is_folder
        except OSError:
            return False

    def islink(self, path):
        return False

    def lexists(self, path):
        try:
            self.volume.entry(path)
        except OSError:
            return False
        return True

    def getsize(self, path):
        return self.stat(path).st_size

    def getmtime(self, path):
        return 0

    def get_user_by_uid(self, uid):
        return "owner"

    def get_group_by_gid(self, gid):
        return "group"


class Logins:
    """What pyftpdlib asks of an authorizer; rights are confd's business."""

    def __init__(self, settings):
        self.settings = settings

    def validate_authentication(self, username, password, handler):
        volume = Volume(self.settings, username, password, handler.remote_ip)
        try:
            known = volume.logs_in()
        except OSError as error:
            raise AuthenticationFailed(error.strerror) from None
        if not known:
            raise AuthenticationFailed("Login incorrect")
        handler.volume = volume

    def has_user(self, username):
        return True

    def has_perm(self, username, perm, path=None):
        return perm not in "aMT"

    def get_home_dir(self, username):
        return "/"

    def get_perms(self, username):
        return "elrdfmw"

    def get_msg_login(self, username):
        return "Login successful."

    def get_msg_quit(self, username):
        return "Goodbye."

    def impersonate_user(self, username, password):
        pass

    def terminate_impersonation(self, username):
        pass


def of_door(handler_class):
    """The same data channel, in clear and with TLS."""

    class Data(handler_class):
        broken = False

        def __init__(self, sock, cmd_channel):
            super().__init__(sock, cmd_channel)
            if not self.connected and cmd_channel._in_dtp_queue is not None:
                # Reset before it was taken up: pyftpdlib would wait on.
                file, cmd_channel._in_dtp_queue = cmd_channel._in_dtp_queue[0], None
                file.close()
                cmd_channel.respond("426 Transfer aborted; the old file stands.", logfun=logging.getLogger().info)

        def readable(self):
            # Some clients begin with TLS before they send their command; pyftpdlib takes that for a disconnection.
            return True if getattr(self, "_ssl_accepting", False) else super().readable()

        def handle_error(self):
            self.broken = True
            super().handle_error()

        def is_whole(self):
            if self.broken or not self.transfer_finished:
                return False
            try:
                raw = socket.socket(fileno=socket.dup(self.cmd_channel.socket.fileno()))
            except (AttributeError, OSError):
                return False
            try:
                if select.select([raw], [], [], LAST_WORDS)[0]:
                    raw.setblocking(False)
                    return raw.recv(1, socket.MSG_PEEK) != b""
            except BlockingIOError:
                pass
            except OSError:
                return False
            finally:
                raw.close()
            return True

        def close(self):
            # pyftpdlib takes a reset for an end; only the orderly end comes without an exception.
            error = sys.exc_info()[1]
            if error is not None and type(error).__name__ != "ZeroReturnError":
                self.broken = True
            if not self._initialized and not self.receive:
                self._resp = ()  # no command waits for an answer
            file = self.file_obj
            if not self._closed and isinstance(file, Writing) and not file.closed:
                if self.is_whole():
                    try:
                        file.finish()
                    except OSError as error:
                        self.transfer_finished = False
                        code = "552" if error.errno == errno.ENOSPC else "451"
                        self._resp = (f"{code} {error.strerror}.", logging.getLogger().warning)
                else:
                    file.close()
                    self.transfer_finished = False
                    self._resp = ("426 Transfer aborted; the old file stands.", logging.getLogger().info)
            super().close()

    return Data


class Session(FTPHandler):
    dtp_handler = of_door(DTPHandler)
    abstracted_fs = Files
    banner = "confd archive volume"
    volume = None
    use_sendfile = False
    timeout = 300
    max_login_attempts = 3
    permit_foreign_addresses = False
    # What is not kept, or not done, is not offered either.
    proto_cmds = {name: command for name, command in FTPHandler.proto_cmds.items() if name not in ("APPE", "MDTM", "MFMT", "SITE CHMOD", "STOU")}

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self._available_facts = self._current_facts = ["type", "perm", "size"]

    def close(self):
        super().close()
        if self.volume:
            self.volume.close()

    def ftp_MLSD(self, path):
        # rclone knows 550 as "not there", pyftpdlib says 501.
        if not self.fs.isdir(path):
            self.respond("550 No such directory.")
            return None
        return super().ftp_MLSD(path)

    def log_cmd(self, cmd, arg, respcode, respstr):
        pass


def secure(settings):
    """A handler with TLS on both connections; passwords never come in clear."""
    from OpenSSL import SSL, crypto
    from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    # No TLS 1.3: its tickets come after the handshake; a client that closes its upload without having read them
    # resets the connection, and that is what a broken upload looks like.
    context.set_options(SSL.OP_NO_TLSv1_3 | SSL.OP_NO_SSLv2 | SSL.OP_NO_SSLv3 | SSL.OP_NO_TLSv1 | SSL.OP_NO_TLSv1_1 | SSL.OP_NO_TICKET)
    # A session that is taken up again needs a name; without one OpenSSL refuses the data connection.
    context.set_session_id(b"confd")
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    pem, end = settings["certificate"], "-----END CERTIFICATE-----"
    chain = [crypto.load_certificate(crypto.FILETYPE_PEM, (part + end).encode()) for part in pem.split(end)[:-1]]
    context.use_certificate(chain[0])
    for certificate in chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, settings["key"].encode()))

    class SecureSession(Session, TLS_FTPHandler):
        dtp_handler = of_door(TLS_DTPHandler)
        proto_cmds = {name: TLS_FTPHandler.proto_cmds[name] for name in (*Session.proto_cmds, "AUTH", "PBSZ", "PROT")}
        tls_control_required = True
        tls_data_required = True
        ssl_context = context

        @classmethod
        def get_ssl_context(cls):
            return context

    return SecureSession


def main():
    settings = read_settings()
    handler = secure(settings) if settings["kind"] == "ftps" else type("ClearSession", (Session,), {})
    handler.authorizer = Logins(settings)
    server = ThreadedFTPServer((settings["listen"], settings["port"]), handler)
    server.max_cons = 128
    server.max_cons_per_ip = 64
    server.serve_forever(handle_exit=False)


if __name__ == "__main__":
    sys.exit(main())
