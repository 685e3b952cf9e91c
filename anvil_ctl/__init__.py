"""Run local language models on a GPU workstation: two modes, one router, one command."""

__version__ = "0.1.0"
