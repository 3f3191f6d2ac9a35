"""A server that answers REST calls badly, or not at all."""

import contextlib
import socket
import threading

import numpy as np
import pytest

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.rest_transport import RestTransport

HEAD = b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n%s\r\n"


@pytest.fixture
def answering():
    """Opens a transport to a server that gives one connection these bytes, and then leaves it open
    or closes it."""
    with contextlib.ExitStack() as accepting, contextlib.ExitStack() as stack:

        def open_transport(said: bytes, leave_open: bool = False) -> RestTransport:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer():
                accepted = accepting.enter_context(listening.accept()[0])
                accepted.recv(1 << 16)
                accepted.sendall(said)
                if not leave_open:
                    accepted.shutdown(socket.SHUT_RDWR)

            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join)
            address = f"127.0.0.1:{listening.getsockname()[1]}"
            return stack.enter_context(contextlib.closing(RestTransport(address, "reid")))

        yield open_transport


def failure(transport, seconds=60.0):
    with pytest.raises(CallError) as raised:
        transport.signatures(seconds)
    return raised.value.code, str(raised.value)


@pytest.mark.parametrize("said", [b"", HEAD % (200, 9, b""), HEAD % (200, 9, b"") + b"{}"])
def test_an_answer_that_stops_anywhere_is_waited_for_until_the_deadline(answering, said):
    assert failure(answering(said, leave_open=True), 0.05) == ("DEADLINE_EXCEEDED", "timed out")


@pytest.mark.parametrize("said", [b"", HEAD % (200, 9, b"") + b"{}", b"no HTTP\r\n\r\n"])
def test_a_connection_that_ends_in_an_answer(answering, said):
    code, message = failure(answering(said))
    assert code == "UNAVAILABLE" and message


def test_a_server_that_does_not_read_is_given_up():
    """More than the buffers between the two take."""
    images = {"image_bytes": np.array([bytes(1 << 25)], dtype=object)}
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        contextlib.closing(RestTransport(f"127.0.0.1:{silent.getsockname()[1]}", "m")) as opened,
        pytest.raises(CallError, match="timed out") as raised,
    ):
        opened.predict("embed", images, 0.05)
    assert raised.value.code == "DEADLINE_EXCEEDED"


def test_nobody_there_in_the_words_of_the_system():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with contextlib.closing(RestTransport(address, "reid")) as opened:
        assert failure(opened) == ("UNAVAILABLE", "[Errno 111] Connection refused")


@pytest.mark.parametrize(
    "said, code, message",
    [
        (HEAD % (429, 17, b"") + b'{"error": "full"}', "RESOURCE_EXHAUSTED", "full"),
        (HEAD % (503, 2, b"") + b"{}", "UNAVAILABLE", "no reason given"),
        (HEAD % (200, 4, b"") + b"<ok>", "UNKNOWN", "HTTP status 200, and no JSON: b'<ok>'"),
        (HEAD % (302, 0, b"Location: /\r\n"), "UNKNOWN", "HTTP status 302, and no JSON: b''"),
    ],
)
def test_answers_that_are_none(answering, said, code, message):
    assert failure(answering(said)) == (code, message)


def test_no_proxy_is_asked(answering, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert failure(answering(HEAD % (503, 2, b"") + b"{}")) == ("UNAVAILABLE", "no reason given")
