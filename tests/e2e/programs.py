"""Programs that run: waiting for them, finding all of a test, and talking to one on a terminal."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARK = "LOCKSTEP_E2E"  # the environment variable that names the processes of a test


def wait_until(
    condition: Callable[[], Any], what: str, seconds: float = 20.0, poll: float = 0.002
) -> Any:
    """The first true value of `condition`; an error naming `what` if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(poll)


@dataclasses.dataclass(frozen=True)
class Process:
    """A live process of a test."""

    pid: int
    role: str  # cli, helper, mpirun, worker or the name of another program

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Sends a signal; a process that has just ended by itself is fine."""
        try:
            os.kill(self.pid, how)
        except ProcessLookupError:
            pass


def _read_proc(pid: str | int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    """False also for a zombie: nothing of it runs any more."""
    stat = _read_proc(pid, "stat")
    return stat != b"" and stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def has_pending(pid: int, signal_number: int) -> bool:
    """Whether a signal has been sent but has not yet arrived; the same one again would be lost."""
    pending = re.search(rb"^ShdPnd:\s*([0-9a-f]+)$", _read_proc(pid, "status"), re.MULTILINE)
    return pending is not None and int(pending[1], 16) >> (signal_number - 1) & 1 == 1


def _role_of(pid: str) -> str:
    try:
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""
    if program == "lockstep":
        return "helper" if b"__launch-helper" in _read_proc(pid, "cmdline") else "cli"
    # setpriv becomes mpirun, whose program is called orterun.
    roles = {"lockstep-worker": "worker", "orterun": "mpirun", "setpriv": "mpirun"}
    return roles.get(program, program)


def marked_processes(mark: str) -> list[Process]:
    """All live processes that were started with `mark` in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if wanted in _read_proc(pid, "environ").split(b"\0") and is_alive(int(pid)):
            found.append(Process(int(pid), _role_of(pid)))
    return found


@dataclasses.dataclass(frozen=True)
class Done:
    """An ended command."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}---"


class Terminal:
    """A command in a session of its own on a pseudo terminal, as a person runs it.

    `shown` is all that it has shown so far.
    """

    def __init__(self, argv: list[str], cwd: Path, env: dict[str, str], columns: int) -> None:
        """Starts it."""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                os.chdir(cwd)
                os.execve(argv[0], argv, env)
            finally:
                os._exit(127)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.pid = self._pid
        self.shown = ""
        self._code: int | None = None

    def press(self, keys: bytes) -> None:
        """Types; b"\\x03" is Ctrl-C: SIGINT to the foreground process group."""
        os.write(self._fd, keys)

    def read(self) -> None:
        """Takes over what has been shown since the last call."""
        while select.select([self._fd], [], [], 0)[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError as error:
                if error.errno != errno.EIO:  # the other end is closed
                    raise
                return
            if not data:
                return
            self.shown += data.decode(errors="replace")

    def ended(self) -> bool:
        """Whether the command has; what it has shown is then complete."""
        if self._code is None:
            self.read()
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid != 0:
                code = os.waitstatus_to_exitcode(status)
                self._code = 128 - code if code < 0 else code
                self.read()
                os.close(self._fd)
        return self._code is not None

    def wait(self, seconds: float = 30.0) -> int:
        """The exit code, as a shell shows it."""
        wait_until(self.ended, f"the end of the command; it has shown\n{self.shown}", seconds)
        assert self._code is not None
        return self._code
