"""What a verb refuses before anything is asked or changed. Pure."""

from __future__ import annotations

from anvil_ctl.config.model import Machine
from anvil_ctl.errors import BusyError, GateError
from anvil_ctl.lifecycle.journal import Interrupted
from anvil_ctl.lifecycle.plan import Observed, Op, Plan
from anvil_ctl.lifecycle.preview import Preview


def refuse_plan_only(machine: Machine) -> None:
    """What is planned for another machine is started there. GateError if this is such a plan."""
    if machine.plan_only:
        raise GateError(
            "nothing was started: anvil.toml is a plan for another machine (machine.plan_only)",
            hint="on the machine that has its cards: anvil-ctl config set machine.plan_only false",
        )


def refuse_interrupted(verb: str, cut_off: Interrupted | None) -> None:
    """After a command that was cut off only `recover` goes on. BusyError if this is another."""
    if cut_off and verb != "recover":
        raise BusyError(f"an earlier command was cut off ({cut_off})", hint="anvil-ctl recover")


def refuse(verb: str, steps: Plan, before: Observed) -> None:
    if verb == "up":
        refuse_other_mode(steps)
    if verb == "switch":
        refuse_new_control(steps, before)


def refuse_another_plan(shown: Preview, expected: str | None) -> None:
    """What was printed is what is done, or nothing is. GateError if not."""
    if expected is not None and expected != shown.hash:
        what = " ".join(filter(None, (shown.verb, shown.target)))
        raise GateError(
            f"the plan is {shown.hash} now, not {expected}: what it is made from has changed",
            hint=f"anvil-ctl plan {what}",
        )


def refuse_other_mode(steps: Plan) -> None:
    """`up` starts and converges; changing the live mode is `switch`'s to do. GateError if not."""
    others = [mode for mode in steps.source if mode != steps.target]
    if others:
        raise GateError(f"mode {others[0]} is live", hint=f"anvil-ctl switch {steps.target}")


def refuse_new_control(steps: Plan, before: Observed) -> None:
    """A switch keeps waiting requests, which a router that is replaced cannot. GateError if so."""
    replaced = any(act.op is Op.CONTROL for act in steps.acts)
    if replaced and before.control_hash is not None and before.modes:
        raise GateError(
            "router, multiplexer and guard run an older definition, and a switch keeps them",
            hint=f"anvil-ctl up --mode {before.modes[0]}, then: anvil-ctl switch {steps.target}",
        )
