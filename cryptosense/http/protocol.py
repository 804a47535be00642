"""uvicorn's HTTP protocol, with a bound on the head of a request and with our reply to what is no HTTP."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cryptosense.http.replies import Problem, Refusal

LONGEST_HEAD = 2 * 1_048_576
"""Bytes of request line and headers; above the megabyte that a guard should get to refuse with its own code."""


class BoundedHttp(HttpToolsProtocol):
    """A connection whose heads are bounded."""

    _head_is_open = False
    _head_bytes = 0

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head_is_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """And ends."""
        self._head_is_open = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """What came; a head that does not end is refused."""
        super().data_received(data)
        if not self._head_is_open:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("the head is too large")

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no HTTP request, or not one that we read; the connection ends with it."""
        body = Refusal(Problem.UNREADABLE, extra={"detail": msg}).body()
        head = (
            f"HTTP/1.1 {Problem.UNREADABLE.status} Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
