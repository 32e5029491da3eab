"""Feature extraction: encoded videos, their cache, and the feature files that datasets read."""
