"""Calling engines: a pooled HTTP client, server-sent events, leases, and what a failure means."""
