"""Claims about frames without truth: what generates them, and judges them on a second look."""
