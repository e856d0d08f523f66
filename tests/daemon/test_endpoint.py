"""The published endpoint is private, and a long path still gets a socket."""

from __future__ import annotations

import os
import socket
import stat

from denchi.daemon import endpoint


def test_endpoint_file_is_private_and_read_back(tmp_path):
    endpoint.write(tmp_path, endpoint.Endpoint(1, socket="/x"))
    assert stat.S_IMODE((tmp_path / endpoint.FILE_NAME).stat().st_mode) == 0o600
    assert endpoint.read(tmp_path) == endpoint.Endpoint(1, socket="/x")
    endpoint.withdraw(tmp_path)
    assert endpoint.read(tmp_path) is None


def test_a_damaged_endpoint_file_is_no_endpoint(tmp_path):
    (tmp_path / endpoint.FILE_NAME).write_text('{"pid": 1, "nonsense"')
    assert endpoint.read(tmp_path) is None


def test_a_long_data_directory_still_gets_a_socket(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    path = endpoint.socket_path(deep)
    assert len(os.fsencode(path)) <= 108
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
