"""What every server of the data plane shares: HTTP, authentication, hold, admin, process."""
