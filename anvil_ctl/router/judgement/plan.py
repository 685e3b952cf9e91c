"""How a candidate's answer reaches the client: as it comes, or looked at first. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from anvil_ctl.router.config import Config
from anvil_ctl.router.judgement.policy import Candidate, Decision
from anvil_ctl.router.profile.row import Verdict


class Handling(StrEnum):
    """RAW commits at the answer's first event; the others collect it whole and check it first."""

    RAW = "raw"
    MINIMAL = "minimal"
    FULL = "full"


def handling(config: Config, decision: Decision, candidate: Candidate) -> Handling:
    """Each candidate by its own trust, whoever was asked before it."""
    if not config.judgement.policy.verify:
        return Handling.RAW
    if candidate.verdict is not Verdict.ALLOW:
        return Handling.FULL
    if not candidate.tier.local:
        return Handling.RAW
    if decision.ambiguous:
        # Nobody knows what was asked, so nobody can say that this tier is good at it.
        return Handling.FULL
    return Handling.MINIMAL if config.judgement.verify_local_min else Handling.RAW


def unchecked(config: Config) -> Config:
    """The same, but for no answer that is looked at: one token passes no check."""
    policy = msgspec.structs.replace(config.judgement.policy, verify=False)
    judgement = msgspec.structs.replace(config.judgement, policy=policy, verify_raw=False)
    return msgspec.structs.replace(config, judgement=judgement)
