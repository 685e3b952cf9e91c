"""A model hub on loopback that speaks the hub's protocol, and fails when it is told to."""

from tests.hub.faults import Fault
from tests.hub.handler import Sent
from tests.hub.repository import Repository
from tests.hub.server import Hub

__all__ = ["Fault", "Hub", "Repository", "Sent"]
