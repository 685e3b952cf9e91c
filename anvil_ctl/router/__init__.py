"""The gateway: understands a request, chooses a tier, and relays its answer."""
