"""Tickets: who waits and who has a lease, and what they are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from anvil_ctl.multiplexer.model import Refusal
from anvil_ctl.multiplexer.role import Counters, Role, Waiter


class Holders(Protocol):
    """What happens to those who asked. Nothing here may call the scheduler before returning."""

    def grant(self, ticket: int) -> None:
        """A lease: the waiter may use its model from now on."""

    def refuse(self, ticket: int, refusal: Refusal) -> None:
        """The waiter gets no lease."""

    def sever(self, ticket: int) -> None:
        """A lease ends although its holder still uses it."""


class Admission:
    """Every ticket that waits or holds a lease is in exactly one role, in one of its two lists."""

    def __init__(self, holders: Holders, counters: Counters) -> None:
        self._holders = holders
        self._counters = counters
        self._role_of: dict[int, Role] = {}

    def role_of(self, ticket: int) -> Role | None:
        """Where a ticket waits or holds a lease."""
        return self._role_of.get(ticket)

    def lease(self, role: Role, ticket: int, name: str) -> None:
        """Let it in."""
        role.leases[ticket] = name
        self._role_of[ticket] = role
        self._holders.grant(ticket)

    def queue(self, role: Role, waiter: Waiter) -> None:
        """Let it wait."""
        role.waiters.append(waiter)
        self._role_of[waiter.ticket] = role

    def drop(self, ticket: int, now: float) -> Role | None:
        """Forget a ticket whose client is gone; the role that it was in."""
        role = self._role_of.pop(ticket, None)
        if role is None:
            return None
        if role.leases.pop(ticket, None) is None:
            role.waiters = [waiter for waiter in role.waiters if waiter.ticket != ticket]
        elif not role.leases:
            role.idle_since = now
        return role

    def refuse(self, ticket: int, refusal: Refusal) -> None:
        """Turn away somebody who does not wait yet."""
        self._counters.refusals += 1
        self._holders.refuse(ticket, refusal)

    def turn_away(self, role: Role, waiters: Iterable[Waiter], refusal: Refusal) -> None:
        """Turn away some who wait."""
        tickets = {waiter.ticket for waiter in waiters}
        role.waiters = [waiter for waiter in role.waiters if waiter.ticket not in tickets]
        for ticket in sorted(tickets):
            self._role_of.pop(ticket, None)
            self.refuse(ticket, refusal)

    def serve(self, role: Role) -> bool:
        """Let in everybody who waits for the holder; whether there was anybody."""
        mine = [waiter for waiter in role.waiters if waiter.model == role.holder]
        role.waiters = role.others()
        for waiter in mine:
            self.lease(role, waiter.ticket, waiter.model)
        return bool(mine)

    def sever(self, role: Role) -> None:
        """End every lease of a role."""
        tickets, role.leases = list(role.leases), {}
        self._counters.severed += len(tickets)
        for ticket in tickets:
            self._role_of.pop(ticket, None)
            self._holders.sever(ticket)
