"""The folder of OTA images that a rig file names."""

from __future__ import annotations

from pathlib import Path

from labctl.config.problems import Problem
from labctl.smart_energy.ota_image import OtaImage, OtaImageError, parse

SUFFIXES = (".ota", ".zigbee")


def read_images(folder: Path) -> tuple[tuple[OtaImage, ...], list[Problem]]:
    """The images of a folder, by file name, and what is wrong with those that are none.

    `OSError` is raised for a folder that cannot be read.
    """
    images: list[OtaImage] = []
    problems: list[Problem] = []
    seen: dict[tuple[object, ...], Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        try:
            image = parse(path.read_bytes())
        except OtaImageError as error:
            problems.append(Problem(path=path, what=f"not an OTA image: {error}"))
            continue
        except OSError as error:
            problems.append(Problem(path=path, what=f"this image cannot be read: {error.strerror}"))
            continue
        key = (image.manufacturer, image.image_type, image.version, image.destination)
        if key in seen:
            problems.append(
                Problem(
                    path=path,
                    what=f"{seen[key].name} is the same image: {image}",
                    mend="keep one of the two",
                )
            )
        seen.setdefault(key, path)
        images.append(image)
    return tuple(images), problems
