"""Words without a language model: the pipeline's stages make their own encoder, which takes seconds
to load.
"""

from __future__ import annotations

import pytest

from robot.language import LanguageEncoder


@pytest.fixture
def hashed_words(monkeypatch):
    for module in ("mask", "policy", "loading", "mask_quality"):
        monkeypatch.setattr(f"robot.experiment.{module}.LanguageEncoder", LanguageEncoder.hashed)
