"""A page to show the robot what to do: draw, type, watch. launch/demo.py serves it."""
