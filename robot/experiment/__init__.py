"""The stages of the main job, each resumable: what is there is reused, what is missing is made."""
