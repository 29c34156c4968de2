"""From files to models: every error with file, line and column, all of them at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.config.document import Document
from labctl.config.fields import as_written
from labctl.config.inventory import Inventory
from labctl.config.inventory_checks import check_inventory
from labctl.config.paths import inventory_near
from labctl.config.problems import (
    ConfigurationErrors,
    Problem,
    errors_of,
    in_file_order,
)
from labctl.config.reading_models import read_model
from labctl.config.resolved import LoadedRig
from labctl.config.rig_checks import RigCheck
from labctl.config.rig_file import Rig
from labctl.config.secrets import SecretReader
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.ota_image import OtaImage


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking a file: the rig, unless there are errors, and all problems."""

    problems: tuple[Problem, ...]
    inventory: Inventory | None = None
    rig: LoadedRig | None = None

    @property
    def errors(self) -> list[Problem]:
        """The problems that stop us."""
        return errors_of(self.problems)


def load_inventory(path: str | Path) -> Inventory:
    """Read and check an inventory. References to secrets are not followed.

    Raises `ConfigurationErrors`.
    """
    checked = inspect_inventory(path, follow_references=False)
    if checked.inventory is None or checked.errors:
        raise ConfigurationErrors(checked.errors)
    return checked.inventory


def load_rig(path: str | Path, inventory: str | Path | None = None) -> LoadedRig:
    """Read and check a rig file and its inventory, and resolve everything the rig refers to.

    `inventory` goes before the one that the rig file names. Install codes and certificates are
    read and checked here, before anything is armed. Raises `ConfigurationErrors`.
    """
    checked = inspect_rig(path, inventory)
    if checked.rig is None or checked.errors:
        raise ConfigurationErrors(checked.errors)
    return checked.rig


def inspect_inventory(
    path: str | Path,
    *,
    follow_references: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Checked:
    """All that can be said of an inventory. Raises nothing for what a file may hold."""
    path = Path(path)
    inventory, document, problems = read_model(path, Inventory, what="inventory")
    if inventory is not None and document is not None:
        reader = SecretReader(path.parent, environ) if follow_references else None
        problems += check_inventory(inventory, document, reader)
    return Checked(problems=tuple(in_file_order(problems)), inventory=inventory)


def inspect_rig(
    path: str | Path,
    inventory: str | Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Checked:
    """All that can be said of a rig file and its inventory. Raises nothing, as above."""
    path = Path(path)
    rig, document, problems = read_model(path, Rig, what="rig file")
    if document is None:
        return Checked(problems=tuple(problems))
    inventory_path, missing = inventory_of(document, inventory)
    if inventory_path is None:
        return Checked(problems=tuple(in_file_order([*problems, *missing])))
    lab, lab_document, lab_problems = read_model(inventory_path, Inventory, what="inventory")
    check = None
    others: list[Problem] = []
    if lab is not None and lab_document is not None:
        lab_problems += check_inventory(lab, lab_document, None)
        if rig is not None:
            reader = SecretReader(inventory_path.parent, environ)
            check = RigCheck(rig, document, lab, lab_document, reader)
            check.run()
            problems += check.problems
            lab_problems += check.inventory_problems
            others = check.file_problems
    found = tuple(in_file_order([*problems, *lab_problems, *others]))
    loaded = None
    if check and check.radio and check.access and not errors_of(found):
        loaded = LoadedRig(
            rig=check.rig,
            inventory=check.inventory,
            path=path,
            inventory_path=inventory_path,
            radio_name=check.rig.hub.radio,
            radio=check.radio,
            phys=check.phys,
            second=check.second,
            duty_limits=check.duty_limits,
            place=check.place,
            devices=tuple(check.devices),
            left_out=tuple(check.left_out),
            certificate=check.certificate,
            access=check.access,
            images=check.images,
            warnings=found,
            config_sha256=fingerprint(check.rig, check.inventory, check.access, check.images),
        )
    return Checked(problems=found, inventory=lab, rig=loaded)


def fingerprint(
    rig: Rig, inventory: Inventory, access: AccessTable, images: Sequence[OtaImage]
) -> str:
    """SHA-256, in hexadecimal, over what the files say.

    Values are in their canonical form and secrets are left out, so that the figure tells whether
    two runs had the same configuration, and nothing else.
    """
    return hashlib.sha256(_said(rig, inventory, access, images)).hexdigest()


def without_secrets(loaded: LoadedRig) -> bytes:
    """What the files of a rig say, as canonical JSON; `loaded.config_sha256` is its hash."""
    return _said(loaded.rig, loaded.inventory, loaded.access, loaded.images)


def _said(rig: Rig, inventory: Inventory, access: AccessTable, images: Sequence[OtaImage]) -> bytes:
    said = {
        "inventory": inventory.model_dump(mode="json", exclude_unset=True),
        "rig": rig.model_dump(mode="json", exclude_unset=True),
    }
    if rig.hub.access is not None:
        said["access"] = {
            f"{cluster_id:04x} {what}": sorted(kinds)
            for (cluster_id, what), kinds in access.rows.items()
        }
    if images:
        said["images"] = {str(n): hashlib.sha256(i.data).hexdigest() for n, i in enumerate(images)}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return canonical.encode()


def inventory_of(
    document: Document, chosen: str | Path | None
) -> tuple[Path | None, list[Problem]]:
    """The inventory of a rig file: the one chosen, the one it names, or the one nearby."""
    if chosen is not None:
        return Path(chosen), []
    named = as_written(document.data.get("inventory"))
    folder = document.path.parent
    if isinstance(named, str) and named:
        path = Path(os.path.normpath(folder / Path(named).expanduser()))
        if not path.exists():
            what = f"there is no inventory at {path}"
            mend = "paths start at the folder of the rig file"
            return None, [document.problem(("inventory",), what, mend)]
        return path, []
    found = inventory_near(folder)
    if found is None:
        mend = "add 'inventory: PATH' to the rig file, or use --inventory"
        return None, [document.problem((), "there is no inventory.yaml near this rig file", mend)]
    return found, []
