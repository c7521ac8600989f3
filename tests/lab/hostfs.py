# SPDX-License-Identifier: Apache-2.0
"""hostfs - answers the lab kernel's FUSE requests from the host's files

Theory of operation

The lab's root is this host's file tree. Its kernel sends FUSE messages
(linux/fuse.h, protocol 7.31); answer() turns one into the reply, with the
rights of the user who runs the lab. Below the folders added with
add_writable() the lab may write and caches no names or sizes, since the host
changes them while the lab runs; everything else is read-only and cached for a
minute.

A node is a path and the file found there (device and inode number): a file
that the host replaces becomes another node, so the lab's page cache never
mixes the two. Nodes are not forgotten: a lab lives for minutes.
"""
import errno
import os
import stat
import struct

# A struct for each message body that is not a single field.
_IN = struct.Struct('<IIQQIIIHH')
_OUT = struct.Struct('<IiQ')
_ATTR = struct.Struct('<6Q10I')
_ENTRY = struct.Struct('<4Q2I')
_ATTR_OUT = struct.Struct('<QII')
_INIT_OUT = struct.Struct('<IIIIHHIIHHI7I')
_SETATTR = struct.Struct('<IIQQQQQQIIIIIIII')
_RW = struct.Struct('<QQIIQII')
_STATFS = struct.Struct('<5Q10I')

_FLAGS = (1 << 0 |      # ASYNC_READ
          1 << 3 |      # ATOMIC_O_TRUNC
          1 << 5 |      # BIG_WRITES
          1 << 12 |     # AUTO_INVAL_DATA
          1 << 18 |     # PARALLEL_DIROPS
          1 << 22 |     # MAX_PAGES
          1 << 23)      # CACHE_SYMLINKS

_SET_MODE, _SET_UID, _SET_GID, _SET_SIZE = 1, 2, 4, 8
_SET_ATIME, _SET_MTIME, _SET_FH = 16, 32, 64
_SET_ATIME_NOW, _SET_MTIME_NOW = 128, 256

_MAX_IO = 1 << 20
_MAX_COPY = 64 << 20  # nobody else is answered while it lasts
_CACHE_SECONDS = 60


def _name(body):
    return body.split(b'\0', 1)[0]


class HostFS:
    """The nodes and open files of one lab."""

    def __init__(self):
        self.paths = {1: b'/'}
        self.ids = {}
        self.writable = []
        self.files = {}
        self.next_file = 1

    def add_writable(self, path):
        """Lets the lab write at PATH and below it."""
        path = os.fsencode(os.path.realpath(path))
        if path != b'/' and not self._is_writable(path):
            self.writable.append(path)

    def _is_writable(self, path):
        return any(path == top or path.startswith(top + b'/')
                   for top in self.writable)

    def _want_writable(self, path):
        if not self._is_writable(path):
            raise OSError(errno.EROFS, '')

    def _child(self, node, name):
        parent = self.paths[node]
        return (b'' if parent == b'/' else parent) + b'/' + name

    def _open_file(self, value):
        number = self.next_file
        self.next_file += 1
        self.files[number] = value
        return number

    @staticmethod
    def _attr(info):
        return _ATTR.pack(
            info.st_ino, info.st_size, info.st_blocks,
            info.st_atime_ns // 10**9, info.st_mtime_ns // 10**9,
            info.st_ctime_ns // 10**9, info.st_atime_ns % 10**9,
            info.st_mtime_ns % 10**9, info.st_ctime_ns % 10**9, info.st_mode,
            info.st_nlink, info.st_uid, info.st_gid, info.st_rdev,
            info.st_blksize, 0)

    def _seconds(self, path):
        return 0 if self._is_writable(path) else _CACHE_SECONDS

    def _entry(self, path):
        info = os.lstat(path)
        key = (path, info.st_dev, info.st_ino)
        if key not in self.ids:
            self.ids[key] = len(self.ids) + 2
        node = self.ids[key]
        self.paths[node] = path
        seconds = self._seconds(path)
        return _ENTRY.pack(node, 0, seconds, seconds, 0, 0) + self._attr(info)

    def _attr_out(self, node, info):
        return _ATTR_OUT.pack(self._seconds(self.paths[node]), 0,
                              0) + self._attr(info)

    def answer(self, message):
        """The reply to one request, or None where FUSE wants none."""
        _, opcode, unique, node, *_ = _IN.unpack_from(message)
        handler = _HANDLERS.get(opcode)
        if opcode in _SILENT:
            return None
        error, body = 0, b''
        try:
            if not handler:
                raise OSError(errno.ENOSYS, '')
            body = handler(self, node, message[_IN.size:])
        except OSError as failure:
            error = failure.errno or errno.EIO
        except KeyError:
            error = errno.ESTALE
        return _OUT.pack(_OUT.size + len(body), -error, unique) + body

    # What follows handles one opcode each: (node, body) -> reply body.

    def init(self, _node, _body):
        return _INIT_OUT.pack(7, 31, _MAX_IO, _FLAGS, 64, 48, _MAX_IO, 1,
                              _MAX_IO // 4096, 0, 0, *[0] * 7)

    def lookup(self, node, body):
        path = self._child(node, _name(body))
        try:
            return self._entry(path)
        except FileNotFoundError:
            if self._is_writable(path):
                raise
            # Node 0 lets the kernel remember for a second what is not there.
            return _ENTRY.pack(0, 0, 1, 0, 0, 0) + bytes(_ATTR.size)

    def getattr(self, node, body):
        flags, _, handle = struct.unpack_from('<IIQ', body)
        if flags & 1 and isinstance(self.files.get(handle), int):
            return self._attr_out(node, os.fstat(self.files[handle]))
        return self._attr_out(node, os.lstat(self.paths[node]))

    def setattr(self, node, body):
        (valid, _, handle, size, _, atime, mtime, _, atime_ns, mtime_ns, _,
         mode, _, uid, gid, _) = _SETATTR.unpack_from(body)
        path = self.paths[node]
        self._want_writable(path)
        if valid & _SET_MODE:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & (_SET_UID | _SET_GID):
            os.chown(path, uid if valid & _SET_UID else -1,
                     gid if valid & _SET_GID else -1, follow_symlinks=False)
        if valid & _SET_SIZE:
            os.truncate(self.files[handle] if valid & _SET_FH else path, size)
        if valid & (_SET_ATIME | _SET_MTIME):
            self._set_times(path, valid, (atime, atime_ns), (mtime, mtime_ns))
        return self._attr_out(node, os.lstat(path))

    @staticmethod
    def _set_times(path, valid, atime, mtime):
        now = os.stat(path, follow_symlinks=False)
        times = [now.st_atime_ns, now.st_mtime_ns]
        if valid & _SET_ATIME and not valid & _SET_ATIME_NOW:
            times[0] = atime[0] * 10**9 + atime[1]
        if valid & _SET_MTIME and not valid & _SET_MTIME_NOW:
            times[1] = mtime[0] * 10**9 + mtime[1]
        if valid & (_SET_ATIME_NOW | _SET_MTIME_NOW):
            os.utime(path, follow_symlinks=False)
        else:
            os.utime(path, ns=tuple(times), follow_symlinks=False)

    def readlink(self, node, _body):
        return os.readlink(self.paths[node])

    def symlink(self, node, body):
        name, target = body.split(b'\0')[:2]
        path = self._child(node, name)
        self._want_writable(path)
        os.symlink(target, path)
        return self._entry(path)

    def mknod(self, node, body):
        mode, device = struct.unpack_from('<II', body)
        path = self._child(node, _name(body[16:]))
        self._want_writable(path)
        os.mknod(path, mode, device)
        return self._entry(path)

    def mkdir(self, node, body):
        mode, _ = struct.unpack_from('<II', body)
        path = self._child(node, _name(body[8:]))
        self._want_writable(path)
        os.mkdir(path, mode)
        return self._entry(path)

    def unlink(self, node, body):
        path = self._child(node, _name(body))
        self._want_writable(path)
        os.unlink(path)
        return b''

    def rmdir(self, node, body):
        path = self._child(node, _name(body))
        self._want_writable(path)
        os.rmdir(path)
        return b''

    def rename(self, node, body):
        return self._rename(node, struct.unpack_from('<Q', body)[0], body[8:])

    def rename2(self, node, body):
        folder, flags = struct.unpack_from('<QI', body)
        if flags:
            raise OSError(errno.EINVAL, '')
        return self._rename(node, folder, body[16:])

    def _rename(self, node, folder, names):
        old, new = names.split(b'\0')[:2]
        old, new = self._child(node, old), self._child(folder, new)
        self._want_writable(old)
        self._want_writable(new)
        os.rename(old, new)
        for key, number in list(self.ids.items()):
            path = self.paths[number]
            if path == old or path.startswith(old + b'/'):
                moved = new + path[len(old):]
                self.paths[number] = moved
                del self.ids[key]
                self.ids[(moved, *key[1:])] = number
        return b''

    def link(self, node, body):
        path = self._child(node, _name(body[8:]))
        self._want_writable(path)
        os.link(self.paths[struct.unpack_from('<Q', body)[0]], path,
                follow_symlinks=False)
        return self._entry(path)

    def open(self, node, body):
        flags, _ = struct.unpack_from('<II', body)
        path = self.paths[node]
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC):
            self._want_writable(path)
        keep = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
        fd = os.open(path, (flags & keep) | os.O_CLOEXEC)
        return struct.pack('<QII', self._open_file(fd), 0, 0)

    def create(self, node, body):
        flags, mode, _, _ = struct.unpack_from('<IIII', body)
        path = self._child(node, _name(body[16:]))
        self._want_writable(path)
        keep = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_EXCL
        fd = os.open(path, (flags & keep) | os.O_CREAT | os.O_CLOEXEC, mode)
        return self._entry(path) + struct.pack('<QII', self._open_file(fd), 0,
                                               0)

    def read(self, _node, body):
        handle, offset, size, *_ = _RW.unpack_from(body)
        return os.pread(self.files[handle], size, offset)

    def write(self, _node, body):
        handle, offset, size, *_ = _RW.unpack_from(body)
        done = os.pwrite(self.files[handle], body[_RW.size:_RW.size + size],
                         offset)
        return struct.pack('<II', done, 0)

    def statfs(self, node, _body):
        info = os.statvfs(self.paths[node])
        return _STATFS.pack(info.f_blocks, info.f_bfree, info.f_bavail,
                            info.f_files, info.f_ffree, info.f_bsize,
                            info.f_namemax, info.f_frsize, *[0] * 7)

    def release(self, _node, body):
        os.close(self.files.pop(struct.unpack_from('<Q', body)[0]))
        return b''

    def fsync(self, _node, body):
        os.fsync(self.files[struct.unpack_from('<Q', body)[0]])
        return b''

    def flush(self, _node, _body):
        return b''

    def opendir(self, node, _body):
        path = self.paths[node]
        records, offset = [], 0
        with os.scandir(path) as entries:
            for entry in entries:
                offset += 1
                records.append(self._dirent(entry, offset))
        return struct.pack('<QII', self._open_file(records), 0, 0)

    @staticmethod
    def _dirent(entry, offset):
        kind = 0
        if entry.is_symlink():
            kind = stat.S_IFLNK >> 12
        elif entry.is_dir(follow_symlinks=False):
            kind = stat.S_IFDIR >> 12
        elif entry.is_file(follow_symlinks=False):
            kind = stat.S_IFREG >> 12
        name = entry.name
        return struct.pack('<QQII', entry.inode(), offset, len(name),
                           kind) + name + bytes(-len(name) % 8)

    def readdir(self, _node, body):
        handle, offset, size, *_ = _RW.unpack_from(body)
        out = b''
        for record in self.files[handle][offset:]:
            if len(out) + len(record) > size:
                break
            out += record
        return out

    def releasedir(self, _node, body):
        del self.files[struct.unpack_from('<Q', body)[0]]
        return b''

    def fallocate(self, _node, body):
        handle, offset, length, mode = struct.unpack_from('<QQQI', body)
        if mode:
            raise OSError(errno.EOPNOTSUPP, '')
        os.posix_fallocate(self.files[handle], offset, length)
        return b''

    def lseek(self, _node, body):
        handle, offset, whence = struct.unpack_from('<QQI', body)
        return struct.pack('<Q', os.lseek(self.files[handle], offset, whence))

    def copy_file_range(self, _node, body):
        """The host copies: a disk image need not pass through the lab."""
        source, at, node, target, to, length = struct.unpack_from('<6Q', body)
        self._want_writable(self.paths[node])
        done = os.copy_file_range(self.files[source], self.files[target],
                                  min(length, _MAX_COPY), at, to)
        return struct.pack('<II', done, 0)


# FORGET, INTERRUPT and BATCH_FORGET expect no reply.
_SILENT = {2, 36, 42}

_HANDLERS = {
    1: HostFS.lookup, 3: HostFS.getattr, 4: HostFS.setattr,
    5: HostFS.readlink, 6: HostFS.symlink, 8: HostFS.mknod, 9: HostFS.mkdir,
    10: HostFS.unlink, 11: HostFS.rmdir, 12: HostFS.rename, 13: HostFS.link,
    14: HostFS.open, 15: HostFS.read, 16: HostFS.write, 17: HostFS.statfs,
    18: HostFS.release, 20: HostFS.fsync, 25: HostFS.flush, 26: HostFS.init,
    27: HostFS.opendir, 28: HostFS.readdir, 29: HostFS.releasedir,
    30: HostFS.flush, 35: HostFS.create, 43: HostFS.fallocate,
    45: HostFS.rename2, 46: HostFS.lseek, 47: HostFS.copy_file_range,
}
