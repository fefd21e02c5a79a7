"""The server half of the declaration: what one worker, or `python -m server_core`, can be told.

Each section of it is a module in sections/, where its settings are declared; here they become one value.
"""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.sections.application import ApplicationSettings
from server_core.settings.sections.limits import LimitSettings
from server_core.settings.sections.logs import LogSettings
from server_core.settings.sections.proxies import ProxySettings
from server_core.settings.sections.recycling import RecyclingSettings
from server_core.settings.sections.serving import ServingSettings
from server_core.settings.sections.timeouts import TimeoutSettings
from server_core.settings.sections.tls import TlsSettings
from server_core.settings.sections.websocket import WebSocketSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings(
    ApplicationSettings,
    TimeoutSettings,
    RecyclingSettings,
    ServingSettings,
    LimitSettings,
    WebSocketSettings,
    TlsSettings,
    ProxySettings,
    LogSettings,
):
    """What the server core does with a connection and an application; durations in seconds, sizes in bytes."""
