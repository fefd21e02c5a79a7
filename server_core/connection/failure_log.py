"""What the log says of requests and of applications that raise."""

from __future__ import annotations

import traceback

from server_core.asgi.call import Call
from server_core.log import Log
from server_core.proxy.request_id import request_id_of


class FailureLog:
    """One for all connections of a server; `has_ids` says whether requests have ids."""

    __slots__ = ("_has_ids", "_log")

    def __init__(self, log: Log, has_ids: bool) -> None:
        self._log = log
        self._has_ids = has_ids

    def log_failure(self, call: Call, error: BaseException) -> None:
        """Log what an application raised."""
        self._log("request.failed", **self.facts(call), traceback="".join(traceback.format_exception(error)))

    def facts(self, call: Call) -> dict[str, object]:
        """What the log says of a request."""
        facts = {"method": call.line.method, "path": call.scope["path"]}
        if self._has_ids:
            facts["request_id"] = request_id_of(call.scope)
        return facts
