"""Recall notices: the bundled list, matching, answers (pure), and the feeds that renew them."""
