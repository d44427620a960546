#!/usr/bin/env bash
# Five-minute demonstration: search on real handwritten digits, export the best network and classify images.
set -euo pipefail
cd "$(dirname "$0")"
export NAS_HOME=${NAS_HOME:-.nas}
images=$NAS_HOME/demo-images
model=model.pt

echo '$ nas search studies/digits.toml'
nas search studies/digits.toml
echo
echo "\$ nas export digits -o $model"
if ! nas export digits -o "$model"; then
    # Networks trained on another processor may miss the target: the nearest serves the demonstration as well.
    echo "\$ nas export digits --trial best -o $model"
    nas export digits --trial best -o "$model"
fi
echo
mkdir -p "$images"
python - "$images" <<'PYTHON'
"""Write a few digits as image files."""
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

digits = load_digits()
for index in range(6):
    pixels = np.rint(digits.images[index] * 255 / 16).astype(np.uint8)
    Image.fromarray(pixels).save(Path(sys.argv[1]) / f"a-{digits.target[index]}.png")
PYTHON
echo "\$ nas predict $model $images/*.png"
nas predict "$model" "$images"/*.png
