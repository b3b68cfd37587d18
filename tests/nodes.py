"""What may stand where a file is to be written, and is none: scratch nodes in a folder, never those of the system."""

import os
import socket
import stat
from pathlib import Path

import pytest

NODES = {
    "device": "a character device",
    "block": "a block device",
    "pipe": "a pipe",
    "socket": "a socket",
    "folder": "a folder",
}
"""Kinds of nodes, and what messages call each."""


def node(path: Path, kind: str) -> Path:
    """Make a node of a kind; the test is skipped where the system does not let us."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(os.path.relpath(path))  # such a path must be short
    elif kind == "folder":
        path.mkdir()
    else:
        # The numbers are those of a null device, and of a block device that no driver has.
        form, number = (stat.S_IFCHR, os.makedev(1, 3)) if kind == "device" else (stat.S_IFBLK, os.makedev(240, 0))
        try:
            os.mknod(path, 0o666 | form, number)
        except PermissionError:
            pytest.skip("making a device takes more rights")
    return path


def number_of(path: Path) -> tuple[int, int]:
    """What a node is, and which one: the same before and after a write that was refused."""
    found = os.lstat(path)
    return stat.S_IFMT(found.st_mode), found.st_ino
