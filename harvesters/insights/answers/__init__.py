"""The answers, one module each."""

from __future__ import annotations

from harvesters.insights.answer import Insight
from harvesters.insights.answers import (
    after_buddying,
    cohorts,
    funnel,
    heatmap,
    lifecycle,
    most_active,
    overview,
    retention,
    sentiment,
    signups,
    third_buddy,
)

INSIGHTS: dict[str, Insight] = {
    insight.name: insight
    for insight in (
        overview.INSIGHT,
        signups.INSIGHT,
        funnel.INSIGHT,
        cohorts.INSIGHT,
        retention.INSIGHT,
        third_buddy.INSIGHT,
        after_buddying.INSIGHT,
        lifecycle.INSIGHT,
        heatmap.INSIGHT,
        sentiment.INSIGHT,
        most_active.INSIGHT,
    )
}
"""By name, in the order in which they are shown."""
