"""The far worker: what runs beside LlamaFactory, packed as a zipapp by `deploy.py`.

Standard library only and Python 3.9 syntax, since it runs in environments of others; it imports
nothing of ours but its own modules, relatively, so that it is the same under any name.
"""
