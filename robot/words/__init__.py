"""Sentences -> what they ask for, in the words that a head or policy was trained on."""
