{% if service %}
"""`python -m {{ name }}` serves the API."""

import uvicorn

from {{ name }}.settings import AppSettings

if __name__ == "__main__":
    settings = AppSettings.current()
    uvicorn.run("{{ name }}.service:app", host=settings.host, port=settings.port)
{% else %}
"""`python -m {{ name }}` prints the report."""

from {{ name }}.report import main

if __name__ == "__main__":
    main()
{% endif %}
