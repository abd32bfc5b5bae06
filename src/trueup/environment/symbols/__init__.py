"""What a version of a library offers, read from its source and never from a running import."""
