"""From labelled events to the templates of a workspace."""
