"""The app's side of the sandbox: finds a tier that works, starts its launcher, asks for sessions."""

from .launchers import Host, close_all, get

__all__ = ["Host", "close_all", "get"]
