# SPDX-License-Identifier: Apache-2.0
"""Reads what strace wrote of one process: calls by phase and thread.

strace -f -Y -yy prints a line for each call, headed by the thread's number and
name. A call that another thread overtakes comes in two lines, which are joined
here at the place of the first. What is kept of the arguments is what a filter
can look at: requests, commands, options, flags. Pointers, sizes and numbers of
descriptors are dropped; what a descriptor is of is kept beside the call, for
the reader of the table.

A call belongs to the phase `run` from the guest's first instruction on, a call
of the gate from the first wait of its loop on, and before it to `start`. A
KVM_RUN that a signal is let in for (KVM_SET_SIGNAL_MASK) runs none.
"""

import re
from collections import Counter, defaultdict
from typing import NamedTuple

LINE = re.compile(r"^(\d+)<(.*?)> +(.*)$")
CALL = re.compile(r"^(\w+)\((.*)$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
RESULT = re.compile(r"\)\s+= (-?\w+|\?).*$")
UNFINISHED = " <unfinished ...>"
# Its thread was killed within the call: the arguments end here.
CUT = re.compile(r" ?<unfinished \.\.\.>\)?(\s+= \?)?$")
OPEN, CLOSE = "([{<", ")]}>"
PHASES = "start", "run"
THREADS = {"fc_vcpu": "vcpu", "fc_api": "gate"}  # others by their own names

# What strace has no name for, or several names, or another name by libc.
NAMES = {
    "_IOC(_IOC_READ|_IOC_WRITE, 0x66, 0x10, 0x60)": "PAGEMAP_SCAN",
    "SNDCTL_TMR_START or TCSETS": "TCSETS",
    "SNDCTL_TMR_TIMEBASE or TCGETS": "TCGETS",
    "SO_SNDTIMEO_OLD": "SO_SNDTIMEO",
    "SO_RCVTIMEO_OLD": "SO_RCVTIMEO",
}
# Flags that say nothing: the first is 0 on x86-64 but for musl, the other is
# CLONE_DETACHED, which the kernel ignores.
EMPTY = re.compile(r"\|(O_LARGEFILE|0x400000)\b")
# Signals as numbered by the kernel; a libc keeps the first ones for itself.
FIRST_SIGNAL = {"musl": "SIGRT_3", "glibc": "SIGRT_2", "sanitizer": "SIGRT_2"}

# Which arguments a filter can look at: their places.
KEEP = {
    "accept4": (3,), "arch_prctl": (0,), "clock_gettime": (0,),
    "clock_nanosleep": (0, 1), "copy_file_range": (5,), "dup3": (2,),
    "epoll_create1": (0,), "epoll_ctl": (1,), "eventfd2": (1,),
    "faccessat2": (3,), "fallocate": (1,), "fcntl": (1,), "flock": (1,),
    "futex": (1,), "getrandom": (2,), "getsockopt": (1, 2),
    "io_uring_enter": (3,), "io_uring_register": (1,), "ioctl": (1,),
    "kill": (1,), "landlock_create_ruleset": (2,), "linkat": (4,),
    "lseek": (2,), "madvise": (2,), "memfd_create": (1,), "mmap": (2, 3),
    "mprotect": (2,), "mremap": (3,), "newfstatat": (3,), "open": (1,),
    "openat": (2,), "pipe2": (1,), "prctl": (0,), "preadv2": (4,),
    "prlimit64": (1,), "pwritev2": (4,), "recvfrom": (3,), "recvmsg": (2,),
    "renameat2": (4,), "rt_sigaction": (0,), "rt_sigprocmask": (0,),
    "rt_sigqueueinfo": (1,), "seccomp": (0, 1), "sendmsg": (2,),
    "sendto": (3,), "setsockopt": (1, 2), "shutdown": (1,),
    "signalfd4": (3,), "socket": (0, 1, 2), "socketpair": (0, 1, 2),
    "statx": (2,), "sync_file_range": (3,), "tgkill": (2,), "tkill": (1,),
    "timerfd_create": (0, 1), "timerfd_settime": (1,), "umask": (0,),
    "unlinkat": (2,), "utimensat": (3,),
}
# The beginning of what strace says of a descriptor, and what it is.
KINDS = (
    ("anon_inode:kvm-vcpu", "vCPU"), ("anon_inode:kvm-vm", "VM"),
    ("UNIX", "Unix socket"), ("TCP", "TCP socket"), ("UDP", "UDP socket"),
    ("NETLINK", "netlink"), ("socket:", "socket"), ("pipe:", "pipe"),
    ("pid:", "pidfd"), ("/dev/pts/", "tty"), ("/dev/tty", "tty"),
)


class Key(NamedTuple):
    """One row of the table."""
    phase: str
    thread: str
    call: str  # with its arguments: "ioctl(KVM_RUN)"


class Calls:
    """How often each Key was seen, and on what kinds of descriptors."""

    def __init__(self):
        self.count = Counter()
        self.kinds = defaultdict(set)

    def add(self, key, kind):
        self.count[key] += 1
        if kind:
            self.kinds[key].add(kind)

    def update(self, other):
        self.count.update(other.count)
        for key, kinds in other.kinds.items():
            self.kinds[key] |= kinds


def split(text):
    """The arguments: text up to the commas that no bracket encloses."""
    args, depth, quoted, begin, skip = [], 0, False, 0, False
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif quoted:
            skip = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in OPEN and "<<" not in text[at - 1:at + 2]:
            depth += 1
        elif char in CLOSE and text[at - 1:at + 1] not in ("->", "=>"):
            depth -= 1
        elif char == "," and depth == 0:
            args.append(text[begin:at].strip())
            begin = at + 1
    return args + [text[begin:].strip()]


def kind_of(arg):
    """What a descriptor is of: "3</dev/kvm<char 10:232>>" is /dev/kvm."""
    match = re.match(r"^-?\w+<(.*)>$", arg)
    if not match:
        return ""
    what = match.group(1)
    for start, kind in KINDS:
        if what.startswith(start):
            return kind
    match = re.match(r"^anon_inode:\[?([\w-]+)\]?", what)
    if match:
        return match.group(1)
    match = re.match(r"^(/(?:dev|proc|sys)/[^<]*)", what)
    if match:
        return re.sub(r"\d+", "N", match.group(1))
    return "file"


def constant(arg, libc):
    """An argument by its name."""
    arg = EMPTY.sub("", re.sub(r"/\* .*? \*/", "", arg)).strip()
    if arg.startswith("SIGRT_"):
        return "SIGRTMIN" if arg == FIRST_SIGNAL[libc] else "SIG of libc"
    return NAMES.get(arg, arg)


def described(call, args, libc):
    """The call with what the table shows of its arguments."""
    found = [constant(args[n], libc) for n in KEEP.get(call, ())
             if n < len(args)]
    if call == "fcntl" and args[1] in ("F_SETFL", "F_SETFD"):
        found.append(constant(args[2], libc))
    if call in ("clone", "clone3"):
        flags = re.search(r"flags=([\w|]+)", ", ".join(args))
        found = [constant(flags.group(1), libc)] if flags else []
    return f"{call}({', '.join(found)})"


def whole_calls(lines):
    """[thread's number, its name, text] in the order of their beginnings."""
    calls, pending = [], {}
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        tid, name, text = int(match.group(1)), match.group(2), match.group(3)
        again = RESUMED.match(text)
        if again:
            if tid in pending:
                calls[pending.pop(tid)][2] += again.group(2)
        elif CALL.match(text):  # no signal, no end
            if text.endswith(UNFINISHED):
                text = text[:-len(UNFINISHED)]
                pending[tid] = len(calls)
            calls.append([tid, name, text])
    for at in pending.values():
        calls[at][2] += UNFINISHED
    return calls


def complete(lines):
    """Has every thread that made a call ended?"""
    ends = {match.group(1): match.group(3).startswith("+++")
            for match in map(LINE.match, lines) if match}
    return bool(ends) and all(ends.values())


def named(found, key):
    """Was the call of @key seen in its phase and thread, with arguments?"""
    start = key.call[:key.call.index("(") + 1]
    return any(other[:2] == key[:2] and other.call.startswith(start)
               for other in found.count)


def read(lines, pid, libc):
    """The Calls of the process @pid.

    Of a call that a thread was killed in, strace may not have the arguments:
    it counts as such a one of those whose arguments were seen.
    """
    calls, found, runs, gate_runs = whole_calls(lines), Calls(), False, False
    cut, ahead = [], set()
    names = {tid: name for tid, name, _ in calls}  # the last one counts
    for tid, _, text in calls:
        call, rest = CALL.match(text).groups()
        ended = not CUT.search(rest)
        args = split(RESULT.sub("", CUT.sub("", rest)))
        if "KVM_SET_SIGNAL_MASK" in args:
            ahead ^= {tid}  # on, then off
        if "KVM_RUN" in args and tid not in ahead:
            runs = True
        thread = "vmm" if tid == pid else THREADS.get(
            names[tid].split(" ")[0], names[tid])
        gate_runs = gate_runs or thread == "gate" and "wait" in call
        phase = PHASES[gate_runs if thread == "gate" else runs]
        if call == "execve":  # the tracer's
            continue
        key = Key(phase, thread, described(call, args, libc))
        if ended:
            found.add(key, kind_of(args[0]))
        else:
            cut.append((key, kind_of(args[0])))
    for key, kind in cut:
        if not named(found, key):
            found.add(key, kind)
    return found
