"""What several kinds of target share."""
