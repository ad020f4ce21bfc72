"""How a message sounds: TextBlob's lexicon for English, an optional extra (``pip install 'harvest[sentiment]'``).

The scale is that of BuddyUp's first index: polarity -100 (bad) to 100 (good), subjectivity 0 (fact) to 100 (opinion).
Words that the lexicon does not know, and other languages, give 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harvesters.errors import ConfigError

LONGEST = 10_000
"""Characters of a message that are looked at: the rest of a novel does not change how it sounds."""

Sentiment = Callable[[str], dict[str, float]]


def open_sentiment() -> Sentiment:
    """The function that scores a text.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        from textblob.en.sentiments import PatternAnalyzer
    except ImportError as error:
        raise ConfigError(
            "--sentiment needs an extra that is not installed: pip install 'harvest[sentiment]'"
        ) from error
    analyzer: Any = PatternAnalyzer()

    def score(text: str) -> dict[str, float]:
        found = analyzer.analyze(text[:LONGEST])
        return {"polarity": round(found.polarity * 100, 1), "subjectivity": round(found.subjectivity * 100, 1)}

    return score
