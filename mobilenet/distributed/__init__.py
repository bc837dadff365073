"""The processes of a distributed run: starts them on one or many machines; their communication.

Door: `group.Group`, `launcher.launch`, `rank_consistency.check_consistency`. Must not know settings
or training.
"""
