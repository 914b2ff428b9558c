"""What knowledge is extracted from sessions: patterns, rules, thoughts."""
