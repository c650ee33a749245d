"""Arms and cameras: drivers, and the safety layer that no command goes around."""
