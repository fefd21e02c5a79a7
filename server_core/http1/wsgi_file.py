"""A file that an application has left to the event loop, from its head to its end. For the loop's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server_core.asgi.file_range import FilePart
    from server_core.asgi.http_exchange import Exchange, Flow
    from server_core.http1.stream import Http1Stream


class FileResponse:
    """One response whose body is a file; it is the last thing that its exchange does.

    `begin` sends the head; `end` is told how many bytes were sent, and whether the response is whole.
    """

    __slots__ = ("_begin", "_end", "_exchange", "_flow", "_is_over", "_part", "_stream")

    def __init__(
        self,
        stream: Http1Stream,
        exchange: Exchange,
        part: FilePart,
        begin: Callable[[], object],
        end: Callable[[int, bool], object],
    ) -> None:
        self._stream = stream
        self._exchange = exchange
        self._part = part
        self._begin, self._end = begin, end
        self._flow: Flow | None = None
        self._is_over = False

    def begin(self) -> None:
        """Send the head, and what can be sent now."""
        try:
            if not self._exchange.gone:
                self._begin()
                self._flow = self._stream.send_file(self._exchange, self._part, False)
        except BaseException as error:  # noqa: BLE001 - the application's: a length that is not the file's
            self._finish(error)
            return
        self.go_on()

    def go_on(self) -> None:
        """Send what can be sent now; to be called when there is room again, or the client has gone."""
        if self._is_over:
            return
        try:
            if self._flow is not None and not self._exchange.gone and self._flow.flow():
                return
        except BaseException as error:  # noqa: BLE001 - the file's
            self._finish(error)
            return
        self._finish(None)

    def give_up(self) -> None:
        """Nothing of it is to be sent."""
        self._is_over = True
        self._part.close()

    def _finish(self, error: BaseException | None) -> None:
        self._is_over = True
        flow = self._flow
        self._part.close()
        is_whole = error is None and flow is not None and not self._exchange.gone
        if is_whole and flow is not None:
            flow.finish()
        self._end(self._part.moved_bytes, is_whole)
        if error is not None:
            self._stream.failed(self._exchange, error)
        self._stream.finished(self._exchange)
