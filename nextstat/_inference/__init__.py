"""What is made of fits: tests, limits, scans, intervals, agreement."""
