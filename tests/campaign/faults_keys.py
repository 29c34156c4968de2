"""Faults in key establishment, and the case that finds each."""

from __future__ import annotations

from typing import Any

from device_fault import DeviceFault


def _overlooks(check: str, says: str, caught_by: str) -> DeviceFault:
    return DeviceFault(
        name=f"overlooks-{check}",
        says=says,
        caught_by=caught_by,
        behaviour={"key_establishment": {"overlooks": [check]}},
    )


def _key_fault(name: str, says: str, caught_by: str, **knobs: Any) -> DeviceFault:
    return DeviceFault(
        name=name, says=says, caught_by=caught_by, behaviour={"key_establishment": knobs}
    )


FAULTS = (
    # What it makes of a hub that is wrong.
    _overlooks("suite", "goes on with a suite that does not exist", "K11"),
    _overlooks("issuer", "takes a key from a hub of another authority", "K12"),
    _overlooks("confirmation", "takes a key that the hub did not confirm", "K13"),
    _overlooks("subject", "takes a key on somebody else's certificate", "K14"),
    _overlooks("key-usage", "takes a key on a certificate that is not for that", "K15"),
    _overlooks("order", "passes over a message out of order", "K16"),
    _key_fault("never-terminates", "ends it without a word", "K16", never_terminates=True),
    _key_fault("keeps-key", "refuses a confirmation and keeps the key", "K13", keeps_key=True),
    _key_fault("gives-up", "does not try again after a failure", "K14", gives_up=True),
    _key_fault("impatient", "waits 12 s, whatever the hub declared", "K17", patience="12s"),
    # What it does wrong by itself: it never gets a key.
    DeviceFault(
        name="foreign-certificate",
        says="its certificate is of another authority",
        caught_by="J01",
        behaviour={"foreign_certificate": True},
    ),
    DeviceFault(
        name="certificate-of-another",
        says="its certificate is of another device",
        caught_by="J01",
        behaviour={"certificate_of_another": True},
    ),
    DeviceFault(
        name="key-usage-missing",
        says="its certificate is not for key agreement",
        caught_by="J01",
        behaviour={"key_usage_missing": True},
    ),
    _key_fault("corrupt-macu", "its confirmation is wrong", "J01", fault="corrupt-confirmation"),
    _key_fault("corrupt-point", "its Ephemeral Data is no point", "J01", fault="corrupt-ephemeral"),
    _key_fault("ephemeral-first", "leaves Initiate out", "J01", fault="ephemeral-first"),
    _key_fault(
        "confirmation-first", "leaves Ephemeral Data out", "J01", fault="confirmation-first"
    ),
    _key_fault("initiate-again", "never confirms", "J01", fault="initiate-again"),
    _key_fault("truncated", "its messages lack an octet", "J01", fault="truncated"),
    _key_fault("two-suites", "asks for two suites at once", "J01", fault="two-suites"),
    _key_fault(
        "unknown-suite", "asks for a suite that does not exist", "J01", fault="unknown-suite"
    ),
    _key_fault("no-key", "never establishes a key", "J01", never=True),
    _key_fault(
        "slower-than-declared",
        "takes 20 s for its confirmation, and declares 2 s",
        "J01",
        confirm_declared="2s",
        confirm_work="20s",
    ),
)
