"""Pictures for reports and pages: overlays, filmstrips and timelines."""
