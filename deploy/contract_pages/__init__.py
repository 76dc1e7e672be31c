"""The contract for other teams, generated: AsyncAPI, HTML pages, one a reader, and all facts as JSON.

What belongs here: who reads what, what the pages say beside the code's own tables, and how they look. Facts come from
where the code has them: topics and schemas, settings, failure codes, alarms. What never will: a connection to anything.
"""
