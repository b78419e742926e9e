"""What audits of all kinds of data share."""
