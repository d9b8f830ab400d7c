"""What a worker tells of itself: metrics on an injected registry."""
