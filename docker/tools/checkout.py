"""Where the checkout lies that the images are made of."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
