"""Copies topics into files for analysts: exactly once by event id, on from where the last run ended.

What belongs here: reading topics without a consumer group, the columns of each event, the files and their manifest.
What never will: a question that analysts ask (deploy/kits/sql), an effect on Kafka or the database.
"""
