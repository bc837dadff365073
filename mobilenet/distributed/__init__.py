"""The processes of a run: how they are started, find each other and add up their numbers.

Door: `group.Group`, `launcher.launch`, `agreement.check_agreement`. Must not know the configuration
or training.
"""
