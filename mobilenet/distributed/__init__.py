"""The processes of a run: started on one machine or many, and what they tell each other.

Door: `group.Group`, `launcher.launch`, `agreement.check_agreement`. Must not know settings or
training.
"""
