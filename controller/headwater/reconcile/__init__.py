"""The loop that observes, plans and acts. It meets the world through `ports` only."""
