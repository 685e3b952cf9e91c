"""One log line for each request that was answered or cut off."""

from __future__ import annotations

import logging
import time

from anvil_ctl.serving.exchange import Exchange
from anvil_ctl.serving.message import Request

log = logging.getLogger("anvil.access")

# Probes come every few seconds for ever; a line for each would bury the requests.
QUIET = frozenset({"/health", "/healthz", "/readyz", "/admin/status"})


def log_access(request: Request, exchange: Exchange) -> None:
    """Write the line. It holds no header, no body and no credential."""
    if request.path in QUIET or not log.isEnabledFor(logging.INFO):
        return
    took = time.monotonic() - exchange.started_at
    log.info(
        "request",
        extra={
            "fields": {
                "request_id": exchange.request_id,
                "method": request.method,
                "path": request.path,
                "status": exchange.status,
                "ms": round(took * 1000, 1),
                "bytes": exchange.sent,
                **exchange.fields,
            }
        },
    )
