"""A person's hands on the arm: keyboard, gamepad, 3-D mouse, and smooth hand-over."""
