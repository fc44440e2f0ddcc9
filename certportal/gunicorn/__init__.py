"""How gunicorn serves each plane: `python -m gunicorn -c python:certportal.gunicorn.PLANE certportal.wsgi.PLANE`."""
