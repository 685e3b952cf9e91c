"""The fault lab: a real stack under load, broken in every way that is known, and what came of it."""
