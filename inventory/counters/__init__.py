"""Counters of what ends when: triggers write deltas, `folding` adds them up, `reading` answers, `checking` proves."""
