"""Counts of certificates by expiry date: triggers write deltas, `folding` adds them up, `checking` verifies them."""
