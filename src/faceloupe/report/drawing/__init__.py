"""Pictures that reports and pages show: overlays, filmstrips, timelines."""
