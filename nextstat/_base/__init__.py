"""What every room needs: words for messages, checks of options, warnings, types."""
