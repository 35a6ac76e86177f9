"""Who has a port is named where the system tells it."""

import os
import socket
from pathlib import Path

import pytest
import zmq

from roommood.shared.errors import ConfigError
from roommood.shared.transport.port_holder import port_holder
from roommood.shared.transport.sockets import bind_frames
from tests.redis_server import free_port


def test_the_process_that_listens_is_named_with_its_command() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = port_holder(server.getsockname()[1])
    assert holder.startswith(f"process {os.getpid()} (")
    assert "python" in holder


def test_where_nothing_is_to_be_seen_a_command_is_named_that_shows_it(tmp_path: Path) -> None:
    assert "ss -ltnp" in port_holder(free_port())
    assert "ss -ltnp" in port_holder(1, tmp_path)


def test_an_address_in_use_names_its_holder_and_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, zmq.Context() as context:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"taken by process {os.getpid()} .*--bind 127.0"):
            bind_frames(context, f"tcp://127.0.0.1:{port}", insecure=False)


@pytest.mark.parametrize("host", ["192.0.2.7", "nobody.invalid"])
def test_an_address_of_another_machine_is_none_to_listen_at(host: str) -> None:
    with zmq.Context() as context, pytest.raises(ConfigError, match="--bind an address of this"):
        bind_frames(context, f"tcp://{host}:{free_port()}", insecure=True)


@pytest.mark.parametrize("host", ["localhost", "lo", "*"])
def test_a_name_of_this_machine_an_interface_and_all_of_them_can_be_listened_at(host: str) -> None:
    with zmq.Context() as context:
        bind_frames(context, f"tcp://{host}:{free_port()}", insecure=True).close(0)
