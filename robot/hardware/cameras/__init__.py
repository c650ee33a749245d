"""Real cameras: streams over OpenCV, where they are, and how they are calibrated."""
