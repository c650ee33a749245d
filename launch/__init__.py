"""The commands besides train_policy.py, one short file each: `python launch/NAME.py key=value`."""
