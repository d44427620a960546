"""Small colour photos in folders, as users have them: tiles of the sample pictures of scikit-image and scikit-learn.

    pip install scikit-image
    python benchmarks/photo_tiles.py data/photo-tiles

writes one folder a picture with JPEG tiles of 20 to 32 pixels a side, cut from a grid so that no two overlap. Large
pictures have more tiles, so the classes are imbalanced. The tiles are the same at each call.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = {
    "skimage": {
        "astronaut": "astronaut.png", "cat": "chelsea.png", "coffee": "coffee.png", "galaxies": "hubble_deep_field.jpg",
        "tissue": "ihc.png", "motorcycle": "motorcycle_left.png", "retina": "retina.jpg", "rocket": "rocket.jpg",
    },
    "sklearn.datasets": {"flower": "images/flower.jpg", "temple": "images/china.jpg"},
}  # fmt: skip
"""File of each class in the package that has it; `skimage` keeps its pictures in the folder `data`."""
CELL = 32
MAX_TILES = 300


def main() -> None:
    """Write the tiles and print their number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DEST", help="folder to create")
    destination: Path = parser.parse_args().folder
    draws = np.random.default_rng(0)
    counts = {
        name: write_tiles(package_folder(package) / file, destination / name, draws)
        for package, files in PICTURES.items() for name, file in files.items()
    }  # fmt: skip
    print(f"{sum(counts.values())} tiles in {destination}: {', '.join(f'{n} {name}' for name, n in counts.items())}")


def package_folder(package: str) -> Path:
    """Return the folder of a package's pictures, without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package}: not installed; pip install scikit-image scikit-learn")
    folder = Path(spec.origin).parent
    return folder / "data" if package == "skimage" else folder


def write_tiles(picture: Path, folder: Path, draws: np.random.Generator) -> int:
    """Cut a picture into tiles, at most `MAX_TILES` of its grid's cells at random; return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    cells = [
        (left, top)
        for top in range(0, image.height - CELL + 1, CELL) for left in range(0, image.width - CELL + 1, CELL)
    ]  # fmt: skip
    chosen = draws.permutation(len(cells))[:MAX_TILES]
    for index in sorted(chosen):
        left, top = cells[index]
        width, height = draws.integers(20, CELL, size=2, endpoint=True)
        image.crop((left, top, left + int(width), top + int(height))).save(
            folder / f"{top:04}-{left:04}.jpg", quality=92
        )
    return len(chosen)


if __name__ == "__main__":
    main()
