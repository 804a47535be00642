"""What is claimed: pure functions from a history to a finding."""
